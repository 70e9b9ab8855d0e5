"""Plain `nvidia-smi`: the table. Few fields, but what most people paste."""

from __future__ import annotations

import re

from sublet.qualification.reading.smi_record import Gpu, Process, SmiLog
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

KIND = "nvidia-smi"
_DRIVER = re.compile(r"Driver Version:\s*([\d.]+)")
_CUDA = re.compile(r"CUDA Version:\s*([\d.]+)")
_FIRST = re.compile(
    r"^\|\s+(?P<index>\d+)\s+(?P<name>\S.*?)\s+(?P<persistence>On|Off)\s*\|"
    r"\s*(?P<bus>[0-9A-Fa-f:.]{7,16})\s+(?P<display>\S+)\s*\|\s*(?P<ecc>\S+)\s*\|"
)
_SECOND = re.compile(
    r"^\|\s*(?P<fan>\S+)\s+(?P<temp>\S+)\s+(?P<pstate>P\d+|\S+)\s+(?P<power>\S+)\s*/\s*(?P<cap>\S+)\s*\|"
    r"\s*(?P<used>\S+)\s*/\s*(?P<total>\S+)\s*\|\s*(?P<busy>\S+(?: ?%)?)\s+(?P<mode>.+?)\s*\|"
)
_THIRD = re.compile(r"^\|[^|]*\|[^|]*\|\s*(?P<mig>Enabled\*?|Disabled\*?|N/A)\s*\|")
_ERROR = re.compile(r"ERR!|GPU is lost|Unknown Error|Unable to determine|fallen off the bus", re.IGNORECASE)
_PROCESS = re.compile(r"^\|\s+(\d+)\s+\S+\s+\S+\s+(\d+)\s+([CGM+]+)\s+(.+?)\s+(\S+)\s*\|$")
_END = re.compile(r"^\+-+\+\s*$")


def read(text: str) -> Reading:
    """The table as an SmiLog with the fields that it shows."""
    driver, cuda = _DRIVER.search(text), _CUDA.search(text)
    gpus: list[Gpu] = []
    fields: dict[str, str] | None = None
    bus, processes, in_processes, failures = "", [], False, []
    lines = text.split("\n")
    for line in lines:
        first = _FIRST.match(line)
        if _ERROR.search(line):
            failures.append(line.strip(" |")[:200])
        if "Processes" in line:
            in_processes = True
        if first and not in_processes:
            if fields is not None:
                gpus.append(_gpu(bus, fields))
            bus = first["bus"]
            fields = {
                "product": first["name"],
                "persistence": "Enabled" if first["persistence"] == "On" else "Disabled",
            }
            fields["volatile_uncorrectable"] = first["ecc"]
            continue
        if in_processes:
            found = _PROCESS.match(line)
            if found:
                processes.append(Process(found[4], found[3], found[5]))
            continue
        if fields is None:
            continue
        second, third = _SECOND.match(line), _THIRD.match(line)
        if second and "fb_total" not in fields:
            fields |= {
                "temperature": second["temp"],
                "pstate": second["pstate"],
                "power": second["power"],
                "power_cap": second["cap"],
                "fb_used": second["used"],
                "fb_total": second["total"],
                "busy": second["busy"],
                "compute_mode": _MODES.get(second["mode"], second["mode"]),
            }
        elif third:
            fields["mig"] = third["mig"].rstrip("*")
    if fields is not None:
        gpus.append(_gpu(bus, fields))
    log = SmiLog(driver[1] if driver else "", cuda[1] if cuda else "", len(gpus), tuple(gpus), failures=tuple(failures))
    state, why = _state(text, lines, log, in_processes)
    return Reading(KIND, log, tuple(gpu.fields["product"] for gpu in gpus), len(gpus) or None, state, why)


_MODES = {"E. Process": "Exclusive_Process", "E. Thread": "Exclusive_Thread"}


def _gpu(bus: str, fields: dict[str, str]) -> Gpu:
    return Gpu(bus, fields, None, "fb_total" in fields)


def _state(text: str, lines: list[str], log: SmiLog, processes: bool) -> tuple[State, str]:
    last = next((line for line in reversed(lines) if line.strip()), "")
    if not log.gpus:
        return "cut", "it lists no GPU"
    if not processes or not _END.match(last) or not ends_in_a_line(text):
        return "cut", "the table of processes, which comes last, is not closed"
    rows = [line for line in lines[lines.index(next(x for x in lines if "Processes" in x)) :] if line.startswith("|=")]
    if not rows:
        return "cut", "the table of processes has no body"
    after = False
    for line in lines:
        if "Processes" in line:
            after = True
        if after and (
            _PROCESS.match(line) or "No running processes found" in line or "not supported" in line.casefold()
        ):
            return "whole", ""
    return "cut", "the table of processes is empty"
