"""Files of /proc, /sys and /etc as `head -v` prints them, the environment of NCCL, and what keeps the clock.

One text holds many files, each after a line `==> PATH <==`; a file that is not there is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sublet.qualification.reading.text import number
from sublet.qualification.reading.values import Reading, ends_in_a_line

FILES, TIMEDATECTL, CHRONY = "files of the host", "timedatectl show", "chronyc tracking"
HEADER = re.compile(r"^==> (/[^\n]{1,200}|environment) <==$")
ENVIRONMENT = "environment"
_OFFSET = re.compile(r"^System time\s*: ([\d.]+) seconds (slow|fast) of NTP time", re.MULTILINE)
_LEAP = re.compile(r"^Leap status\s*: (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class HostFiles:
    """`files`: path -> content without the last line's end."""

    files: Mapping[str, str]

    def text(self, path: str) -> str | None:
        """A file's content."""
        return self.files.get(path)

    def under(self, folder: str, name: str) -> dict[str, str]:
        """Of every entry of a folder the file `name`: entry -> content."""
        head, tail = f"{folder}/", f"/{name}"
        return {
            path[len(head) : -len(tail)]: content
            for path, content in self.files.items()
            if path.startswith(head) and path.endswith(tail)
        }


@dataclass(frozen=True)
class Clock:
    """What keeps the clock. `offset_s`: None where it does not say."""

    synchronised: bool | None
    offset_s: float | None = None


def found_in(text: str) -> bool:
    """Whether a text opens with such a header."""
    return HEADER.match(text.lstrip("\n").partition("\n")[0]) is not None


def read(text: str) -> Reading:
    """The files."""
    files: dict[str, str] = {}
    path = ""
    lines: list[str] = []
    for line in [*text.split("\n"), "==> /end <=="]:
        header = HEADER.match(line)
        if header:
            if path:
                files[path] = "\n".join(lines).rstrip("\n")
            path, lines = header[1], []
        else:
            lines.append(line)
    return of_files(files, whole=ends_in_a_line(text))


def of_files(files: Mapping[str, str], *, whole: bool = True) -> Reading:
    """Files that were read one by one."""
    why = "files that are not there are not named" if whole else "the text ends inside a line"
    return Reading(FILES, HostFiles(files), state="unproven" if whole else "cut", why=why)


def read_timedatectl(text: str) -> Reading:
    """`timedatectl show`."""
    said = dict(line.partition("=")[::2] for line in text.split("\n") if "=" in line)
    word = said.get("NTPSynchronized")
    known = word in ("yes", "no") and ends_in_a_line(text)
    why = "it shows only the properties that were asked for" if known else "NTPSynchronized is not there"
    return Reading(TIMEDATECTL, Clock(word == "yes") if known else None, state="unproven" if known else "cut", why=why)


def read_chrony(text: str) -> Reading:
    """`chronyc tracking`."""
    offset, leap = _OFFSET.search(text), _LEAP.search(text)
    known = leap is not None and ends_in_a_line(text)
    clock = Clock(leap[1] == "Normal", number(offset[1]) if offset else None) if leap else None
    why = "" if known else "the leap status, which comes last, is not there"
    return Reading(CHRONY, clock, state="whole" if known else "cut", why=why)
