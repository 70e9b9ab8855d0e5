"""InfiniBand and RoCE ports: `ibstat`, `ibstatus`, and /sys/class/infiniband as one JSON object (path -> content)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

IBSTAT, IBSTATUS, SYSFS = "ibstat", "ibstatus", "/sys/class/infiniband"
_CA = re.compile(r"^CA '([^']+)'")
_PORT = re.compile(r"^\s+Port (\d+):\s*$")
_PAIR = re.compile(r"^\s+([A-Za-z][\w ]*?):\s*(.*?)\s*$")
_STATUS = re.compile(r"^Infiniband device '([^']+)' port (\d+) status:")
_PANIC = re.compile(r"^ib(?:panic|warn)\b.*|^.*\bfailed: .*", re.IGNORECASE)
_IN_PORT = re.compile(r"^(?:.*/)?(?P<device>[\w.-]+)/ports/(?P<port>\d{1,3})/(?P<name>[\w/]+)$")
_IN_DEVICE = re.compile(r"^(?:.*/)?(?P<device>[\w.-]+)/(?P<name>\w+)$")


@dataclass(frozen=True)
class Port:
    """One port. `rate`: Gb/s as the port gives it (a port that is down gives its lowest, 10 to 40)."""

    device: str
    number: int
    state: str  # Active, Down, Init, Armed; "" where it is not given
    physical: str  # LinkUp, Polling, Disabled, ...
    rate: float | None
    layer: str  # InfiniBand, Ethernet
    kind: str = ""  # MT4129 and the like
    firmware: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether traffic can pass."""
        return self.state.casefold() == "active" and self.physical.casefold() in ("linkup", "")


@dataclass(frozen=True)
class Ports:
    """All ports, and what the tool complained about."""

    ports: tuple[Port, ...]
    complaints: tuple[str, ...] = ()


def read_ibstat(text: str) -> Reading:
    """`ibstat`, a broken end included: it leaves with 255 and good output where a device is gone."""
    ports: list[Port] = []
    complaints: list[str] = []
    device: dict[str, str] = {}
    values: dict[str, str] | None = None
    unfinished = ""

    def close() -> None:
        nonlocal unfinished
        if values is None:
            return
        if "Link layer" not in values or "State" not in values:
            unfinished = device.get("name", "")
        ports.append(
            Port(
                device.get("name", ""),
                whole_number(values.get("number")) or 1,
                values.get("State", ""),
                values.get("Physical state", ""),
                number(values.get("Rate")),
                values.get("Link layer", ""),
                device.get("CA type", ""),
                device.get("Firmware version", ""),
            )
        )

    for line in text.split("\n"):
        ca, port = _CA.match(line), _PORT.match(line)
        if ca:
            close()
            if device and values is None:
                unfinished = device.get("name", "?")
            device, values = {"name": ca[1]}, None
        elif port:
            close()
            values = {"number": port[1]}
        elif _PANIC.match(line):
            complaints.append(line.strip()[:200])
        else:
            pair = _PAIR.match(line)
            if pair:
                (device if values is None else values)[pair[1]] = pair[2]
    close()
    if device and values is None:
        unfinished = device.get("name", "?")
    return _reading(IBSTAT, text, ports, complaints, unfinished)


def read_ibstatus(text: str) -> Reading:
    """`ibstatus`."""
    ports: list[Port] = []
    at: tuple[str, str] | None = None
    values: dict[str, str] = {}
    complaints: list[str] = []
    unfinished = ""

    def close() -> None:
        nonlocal unfinished
        if at is None:
            return
        if "link_layer" not in values or "state" not in values:
            unfinished = at[0]
        state, physical = (values.get(name, "").partition(":")[2].strip() for name in ("state", "phys state"))
        ports.append(
            Port(at[0], int(at[1]), state.title(), physical, number(values.get("rate")), values.get("link_layer", ""))
        )

    for line in text.split("\n"):
        header, pair = _STATUS.match(line), _PAIR.match(line)
        if header:
            close()
            at, values = (header[1], header[2]), {}
        elif pair:
            values[pair[1]] = pair[2]
        elif _PANIC.match(line) or line.startswith("Fatal error"):
            complaints.append(line.strip()[:200])
    close()
    return _reading(IBSTATUS, text, ports, complaints, unfinished)


def read_sysfs(tree: Mapping[str, Any]) -> Reading:
    """/sys/class/infiniband, flattened: "mlx5_0/ports/1/state" -> "4: ACTIVE"."""
    devices: dict[str, dict[str, str]] = {}
    by_port: dict[tuple[str, int], dict[str, str]] = {}
    for path, content in tree.items():
        found = _IN_PORT.match(str(path)) or _IN_DEVICE.match(str(path))
        if not found:
            continue
        value = str(content).strip()
        if "port" in found.groupdict():
            by_port.setdefault((found["device"], int(found["port"])), {})[found["name"]] = value
        else:
            devices.setdefault(found["device"], {})[found["name"]] = value
    ports, unfinished = [], ""
    for (name, port), values in by_port.items():
        if "state" not in values or "rate" not in values:
            unfinished = name
        device = devices.get(name, {})
        ports.append(
            Port(
                name,
                port,
                values.get("state", "").partition(":")[2].strip().title(),
                values.get("phys_state", "").partition(":")[2].strip(),
                number(values.get("rate")),
                values.get("link_layer", ""),
                device.get("hca_type", ""),
                device.get("fw_ver", ""),
                {
                    key.partition("/")[2]: count
                    for key, value in values.items()
                    if key.startswith(("counters/", "hw_counters/")) and (count := whole_number(value)) is not None
                },
            )
        )
    state, why = ("cut", f"port of {unfinished} has no state or no rate") if unfinished else ("whole", "")
    if not ports:
        state, why = "cut", "it lists no port"
    return Reading(SYSFS, Ports(tuple(ports)), state="cut" if state == "cut" else "whole", why=why)


def _reading(kind: str, text: str, ports: list[Port], complaints: list[str], unfinished: str) -> Reading:
    state: State = "unproven"
    why = "the listing does not say how many ports there are"
    if not ports:
        state, why = "cut", "it lists no port"
    elif not ends_in_a_line(text):
        state, why = "cut", "the text ends inside a line"
    elif unfinished:
        state, why = "cut", f"what is said of {unfinished} breaks off"
    return Reading(kind, Ports(tuple(ports), tuple(complaints)), state=state, why=why)
