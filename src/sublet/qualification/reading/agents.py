"""What other checkers say: gpud's component states, the logs of a provider's health check, manifests of a node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sublet.qualification.reading.values import Reading, ends_in_a_line

GPUD, PROVIDER, MANIFEST = "gpud states", "provider health check", "expected-hardware manifest"
PROVIDER_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (?P<level>[A-Z]+) - (?P<said>.*)$")
_PASSED = re.compile(r"^(?:\S+ - )?(?P<test>.{3,120}?)\s*:\s*Passed\s*$")
_FAILED = re.compile(r"^(?:\S+ - )?(?P<test>.{3,120}?)\s*:?\s*(?:Failed|FAILED|Fail)\b(?P<why>.*)$")
_SUCCEEDED = re.compile(r"^(?:\S+ - )?(?P<test>.{3,80}?) (?:Succeeded|succeeded)\b(?P<why>.*)$")
_CRASHED = re.compile(
    r"crashed|not available|No module named|ImportError|not found|Traceback|timed out|could not run", re.IGNORECASE
)


@dataclass(frozen=True)
class Component:
    """gpud's word on a part of the node."""

    name: str
    health: str
    reason: str


@dataclass(frozen=True)
class Told:
    """One test of a provider's own check. `outcome`: pass, fail or crashed."""

    test: str
    outcome: str
    said: str


@dataclass(frozen=True)
class ProviderLog:
    """The tests of a log, and whether it says that it came to its end."""

    tests: tuple[Told, ...]
    finished: bool


def read_gpud(document: object) -> Reading:
    """gpud: a list of components or one of them, each with states."""
    components: list[Component] = []
    stack: list[object] = [document]
    while stack and len(components) < 1000:
        value = stack.pop(0)
        if isinstance(value, list):
            stack += value
        elif isinstance(value, Mapping):
            states = value.get("states")
            if isinstance(states, list):
                stack += [
                    {"component": value.get("component", ""), **each} for each in states if isinstance(each, Mapping)
                ]
            elif "health" in value or "healthy" in value:
                health = value.get("health", value.get("healthy"))
                name = str(value.get("component") or value.get("name") or "")
                components.append(Component(name, str(health), str(value.get("reason") or value.get("error") or "")))
    names = tuple(dict.fromkeys(f for each in components if (f := _product(each.reason))))
    return Reading(
        GPUD,
        tuple(components),
        devices=names,
        state="whole" if components else "cut",
        why="" if components else "it holds no state",
    )


def _product(reason: str) -> str:
    found = re.search(r"NVIDIA[- ][A-Z0-9][\w-]*", reason)
    return found[0].replace("-", " ", 1) if found else ""


def read_provider(text: str) -> Reading:
    """A log whose lines tell of tests, with their level before them."""
    tests: dict[str, Told] = {}
    finished = False
    for line in text.split("\n"):
        found = PROVIDER_LINE.match(line)
        if not found:
            continue
        said = found["said"]
        if re.search(r"\bFinished\b", said):
            finished = True
        passed, succeeded, failed = _PASSED.match(said), _SUCCEEDED.match(said), _FAILED.match(said)
        if _CRASHED.search(said):
            test = re.sub(r"^\S+ - ", "", said)
            name = re.split(r" (?:crashed|[Ff]ailed)\b", test)[0][:80]
            tests[_plain(name)] = Told(name, "crashed", said[:200])
        elif passed:
            tests[_plain(passed["test"])] = Told(passed["test"], "pass", said[:200])
        elif succeeded:
            tests[_plain(succeeded["test"])] = Told(succeeded["test"], "pass", said[:200])
        elif failed or found["level"] in ("ERROR", "CRITICAL"):
            name = failed["test"] if failed else said[:80]
            tests[_plain(name)] = Told(name, "fail", said[:200])
    ended = finished and ends_in_a_line(text)
    return Reading(
        PROVIDER,
        ProviderLog(tuple(tests.values()), finished),
        state="whole" if ended and tests else "cut",
        why="" if ended and tests else "the line that says that the check is finished is not there",
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.casefold().replace("silent data corruption", "sdc"))


def read_manifest(document: Mapping[str, Any]) -> Reading:
    """A description of what a node should hold: PCI devices with their links, disks."""
    pci = document.get("pci")
    devices = {str(key): value for key, value in pci.items()} if isinstance(pci, Mapping) else {}
    gpus = [value for value in devices.values() if isinstance(value, Mapping) and value.get("type") == "gpu"]
    gpus = gpus or [
        v for v in devices.values() if isinstance(v, Mapping) and "gpu" in str(v.get("slot", "")).casefold()
    ]
    return Reading(
        MANIFEST,
        document,
        count=len(gpus) or None,
        state="whole" if devices else "cut",
        why="" if devices else "it lists no device",
    )
