"""`nvidia-smi nvlink -s` (state and rate of each link), `-e` (error counters), and `nvidia-smi -L` (the GPUs)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sublet.qualification.reading.text import number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

KIND, LIST_KIND = "nvidia-smi nvlink -s", "nvidia-smi -L"
_GPU = re.compile(r"^GPU (\d+): (.+?) \(UUID: ([^)]+)\)\s*$")
_LINK = re.compile(r"^\s+Link (\d+):\s*(.+?)\s*$")
_ERROR = re.compile(r"^\s+Link (\d+):\s*([A-Za-z][\w /-]*?)(?: Errors?| errors?)?(?: Count)?:\s*(\d+)\s*$")
_NONE = re.compile(r"does not have or support nvlink|not supported|no nvlink", re.IGNORECASE)
_DEAD = re.compile(r"all links are (?:inactive|inActive)|unable to retrieve nvlink", re.IGNORECASE)
_ELIDED = re.compile(r"^\s*\[?\.\.\.\]?\s*$")


@dataclass(frozen=True)
class LinkedGpu:
    """One GPU and its links. `links`: GB/s in one direction by link, None where the link is not active."""

    index: int
    name: str
    links: Mapping[int, float | None]
    errors: Mapping[str, int]  # counter -> sum over links
    note: str = ""  # "unsupported", "inactive" or ""


@dataclass(frozen=True)
class NvlinkStatus:
    """What was listed, in the tool's order."""

    gpus: tuple[LinkedGpu, ...]
    elided: bool


def read(text: str) -> Reading:
    """The listing as an NvlinkStatus."""
    gpus: list[LinkedGpu] = []
    current: tuple[int, str] | None = None
    links: dict[int, float | None] = {}
    errors: dict[str, int] = {}
    note, elided, odd = "", False, []

    def close() -> None:
        if current is not None:
            gpus.append(LinkedGpu(current[0], current[1], dict(links), dict(errors), note))

    for line in text.split("\n"):
        header, error, link = _GPU.match(line), _ERROR.match(line), _LINK.match(line)
        if header:
            close()
            current, note = (int(header[1]), header[2]), ""
            links.clear()
            errors.clear()
        elif error:
            errors[error[2].strip()] = errors.get(error[2].strip(), 0) + int(error[3][:18])
        elif link:
            rate = number(link[2]) if "GB/s" in link[2] else None
            if rate is None and "inactive" not in link[2].casefold() and "<" not in link[2]:
                continue  # a line of the link's capabilities
            links[int(link[1])] = rate
        elif _DEAD.search(line):
            note = "inactive"
        elif _NONE.search(line):
            note = "unsupported"
        elif _ELIDED.match(line):
            elided = True
        elif line.strip():
            odd.append(f"cannot read {line.strip()[:80]!r}")
    close()
    listed = bool(gpus) and not any(gpu.links or gpu.errors or gpu.note for gpu in gpus) and not odd
    state, why = _state(text, gpus, listed, elided)
    return Reading(
        LIST_KIND if listed else KIND,
        NvlinkStatus(tuple(gpus), elided),
        devices=tuple(gpu.name for gpu in gpus),
        count=max((gpu.index + 1 for gpu in gpus), default=0) or None,  # some may be left out of the listing
        state=state,
        why=why,
        problems=tuple(odd[:10]),
    )


def _state(text: str, gpus: list[LinkedGpu], listed: bool, elided: bool) -> tuple[State, str]:
    if not ends_in_a_line(text):
        return "cut", "the text ends inside a line"
    if not gpus:
        return "cut", "it lists no GPU"
    if not listed and any(not (gpu.links or gpu.errors or gpu.note) for gpu in gpus):
        return "cut", "a GPU is listed without its links"
    if elided or [gpu.index for gpu in gpus] != list(range(len(gpus))):
        return "unproven", "some GPUs are left out"
    return "unproven", "the listing does not say how many GPUs there are"
