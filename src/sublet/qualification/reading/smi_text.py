"""`nvidia-smi -q` in words: sections by indentation, `Key : value` lines, one block a GPU.

Also parts of it (`-d ...`, `-i N`) and excerpts with their cuts marked. Invariant: a GPU's block is called ended only
where the section that the tool prints last is there and filled.
"""

from __future__ import annotations

import re

from sublet.qualification.reading.smi_record import TEXT_FIELDS, Gpu, Process, SmiLog, fields_of
from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

KIND = "nvidia-smi -q"
_HEADER = re.compile(r"^GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])\s*$")
_PAIR = re.compile(r"^( *)([^:]{1,80}?)\s*:(?: (.*))?$")
_TITLE = re.compile(r"^( *)(\S[^:]{0,80})$")
_ELIDED = re.compile(r"^\s*\[?\.\.\.\]?\s*$")
_FAILED = re.compile(
    r"Unable to determine the device handle|GPU is lost|Unknown Error|fallen off the bus", re.IGNORECASE
)
_CAPABILITIES_SINCE = 590  # driver release from which the fixtures show a last section "Capabilities"

# what a section that is printed whole must hold
_SECTIONS = {
    "Retired Pages": ("retired_single", "retired_double", "retired_pending"),
    "Remapped Rows": ("remap_pending", "remap_failure"),
    "ECC Mode": ("ecc", "ecc_pending"),
}


def read(text: str) -> Reading:
    """The log as an SmiLog."""
    head: dict[str, str] = {}
    gpus: list[Gpu] = []
    block: _Block | None = None
    elided, failures = False, []
    for line in text.split("\n"):
        header = _HEADER.match(line)
        if header:
            if block:
                gpus.append(block.done())
            block = _Block(header[1])
        elif _ELIDED.match(line):
            elided = True
        elif _FAILED.search(line):
            failures.append(line.strip()[:200])
        elif block is not None:
            block.line(line)
        elif ":" in line and not line.startswith("="):
            key, _, value = line.partition(":")
            head[key.strip()] = value.strip()
    if block:
        gpus.append(block.done())
    driver = head.get("Driver Version", "")
    filtered = bool(gpus) and not any("product" in gpu.fields for gpu in gpus)
    release = number(driver.partition(".")[0]) or 0
    if not filtered and release >= _CAPABILITIES_SINCE:
        gpus = [gpu if "capabilities" in gpu.fields else _unended(gpu) for gpu in gpus]
    if filtered:
        gpus = [gpu if _sections_filled(gpu) else _unended(gpu) for gpu in gpus]
    attached = whole_number(head.get("Attached GPUs"))
    log = SmiLog(driver, head.get("CUDA Version", ""), attached, tuple(gpus), filtered, "", elided, tuple(failures))
    state, why = _state(text, log)
    return Reading(
        KIND,
        log,
        devices=tuple(gpu.fields["product"] for gpu in gpus if "product" in gpu.fields),
        count=attached if attached is not None else len(gpus) or None,
        state=state,
        why=why,
        problems=tuple(odd for gpu in gpus for odd in gpu.odd)[:20],
    )


def _state(text: str, log: SmiLog) -> tuple[State, str]:
    if not ends_in_a_line(text):
        return "cut", "the text ends inside a line"
    if not log.gpus:
        return "cut", "it lists no GPU"
    unended = [gpu.bus for gpu in log.gpus if not gpu.ended]
    if unended and not log.elided:
        return "cut", f"the record of GPU {unended[0]} breaks off"
    if log.elided:
        return "cut", "somebody cut parts out of it"
    if log.filtered and len({tuple(sorted(gpu.fields)) for gpu in log.gpus}) > 1:
        return "cut", "the GPUs do not show the same sections"
    if log.attached is None:
        return "unproven", "it does not say how many GPUs are attached"
    if log.attached != len(log.gpus):
        return "unproven", f"{len(log.gpus)} of {log.attached} attached GPUs are shown"
    return "whole", ""


def _unended(gpu: Gpu) -> Gpu:
    return Gpu(gpu.bus, gpu.fields, gpu.processes, False, gpu.odd)


def _sections_filled(gpu: Gpu) -> bool:
    """Of a filtered record: every section that it opens holds what that section must, and there is one at all."""
    held = [names for names in _SECTIONS.values() if any(name in gpu.fields for name in names)]
    return bool(gpu.fields) and all(name in gpu.fields for names in held for name in names)


class _Block:
    """The lines of one GPU, as they come."""

    def __init__(self, bus: str) -> None:
        self.bus = bus
        self.paths: dict[str, str] = {}
        self.stack: list[tuple[int, str]] = []
        self.processes: list[dict[str, str]] | None = None
        self.odd: list[str] = []

    def line(self, line: str) -> None:
        pair = _PAIR.match(line)
        if pair is None:
            title = _TITLE.match(line)
            if title:
                self._open(len(title[1].expandtabs()), title[2].strip())
            elif line.strip():
                self.odd.append(f"{self.bus}: cannot read {line.strip()[:80]!r}")
            return
        indent, key, value = len(pair[1]), pair[2].strip(), (pair[3] or "").strip()
        self._close(indent)
        if key == "Processes":
            self.processes = []
            return
        if self.processes is not None and self.stack and self.stack[0][1] == "Processes":
            self._process(key, value)
            return
        if key.startswith("Invalid "):
            self.odd.append(f"{self.bus}: cannot read {line.strip()[:80]!r}")
        self.paths["/".join([name for _, name in self.stack] + [key])] = value
        self.stack.append((indent, key))

    def _open(self, indent: int, name: str) -> None:
        self._close(indent)
        if name == "Processes":
            self.processes = []
        self.stack.append((indent, name))

    def _close(self, indent: int) -> None:
        while self.stack and self.stack[-1][0] >= indent:
            self.stack.pop()

    def _process(self, key: str, value: str) -> None:
        assert self.processes is not None
        if key == "Process ID":
            self.processes.append({})
        if self.processes:
            self.processes[-1][key] = value

    def done(self) -> Gpu:
        fields = fields_of(self.paths, TEXT_FIELDS)
        if any(path.startswith("Capabilities/") for path in self.paths):
            fields["capabilities"] = "shown"
        listed, ended = None, "product" not in fields
        if self.processes is not None:
            listed = tuple(
                Process(each.get("Name", ""), each.get("Type", ""), each.get("Used GPU Memory", ""))
                for each in self.processes
            )
            opened = any(name == "Processes" for _, name in self.stack)
            ended = all("Used GPU Memory" in each for each in self.processes) and not (opened and not self.processes)
        return Gpu(self.bus, fields, listed, ended, tuple(self.odd[:8]))
