"""What nvidia-smi says when it has nothing to show: no driver, no device, a device that is lost."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.qualification.reading.values import Reading

KIND = "nvidia-smi"
# what the tool says -> what it means
_SENTENCES = (
    ("lost", re.compile(r"GPU is lost|fallen off the bus|Unable to determine the device handle", re.IGNORECASE)),
    ("mismatch", re.compile(r"Driver/library version mismatch", re.IGNORECASE)),
    (
        "no_driver",
        re.compile(r"couldn't communicate with the NVIDIA driver|NVIDIA driver is not loaded", re.IGNORECASE),
    ),
    ("no_device", re.compile(r"No devices were found", re.IGNORECASE)),
    ("nvml", re.compile(r"Failed to initialize NVML", re.IGNORECASE)),
)


@dataclass(frozen=True)
class SmiFailure:
    """Why there is no answer: lost, mismatch, no_driver, no_device or nvml, and the tool's own words."""

    cause: str
    said: str


def found_in(text: str) -> bool:
    """Whether a text is such an answer."""
    return len(text) < 20_000 and any(pattern.search(text) for _, pattern in _SENTENCES)


def read(text: str) -> Reading:
    """The refusal as an SmiFailure."""
    for cause, pattern in _SENTENCES:
        for line in text.split("\n"):
            if pattern.search(line):
                return Reading(KIND, SmiFailure(cause, line.strip()[:200]))
    return Reading(KIND, state="cut", why="nothing that is known was said")
