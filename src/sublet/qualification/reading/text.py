"""Bytes and lines of tools: decoding, control characters, prefixes that launchers put before lines, numbers."""

from __future__ import annotations

import math
import re

LONGEST = 16 << 20  # characters of a text that are read; the rest is left out, and the reading says so

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
# ray "(head, rank=0, pid=1) ", Open MPI "[1,0]<stdout>:", `srun -l` "0: ", `kubectl logs --timestamps`
_LAUNCHER = re.compile(
    r"^(?:\([^()\n]{0,80}\)\s?)?(?:\[\d+,\d+\]<std(?:out|err)>:)?"
    r"(?:\d{4}-\d\d-\d\dT[\d:.]+Z\s)?(?:\s{0,4}\d{1,5}:(?=[ \t#]))?"
)


def clean(raw: bytes | str) -> str:
    """The text of what was recorded: decoded, with unix line ends, without escape sequences."""
    if isinstance(raw, bytes):
        encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        raw = raw[: 4 * LONGEST].decode(encoding, errors="replace")
    text = raw[:LONGEST].removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return _CONTROL.sub("", text)


def unprefixed(line: str) -> str:
    """The line without what a launcher put before it."""
    return _LAUNCHER.sub("", line, count=1)


def number(text: str | None) -> float | None:
    """The first number in a text ("700.00 W" -> 700.0); None where there is none or it is not finite."""
    found = _NUMBER.search(text) if text else None
    if not found or len(found[0]) > 40:
        return None
    value = float(found[0])
    return value if math.isfinite(value) else None


def whole_number(text: str | None) -> int | None:
    """The first number in a text, as an integer."""
    value = number(text)
    return None if value is None else int(value)


def absent(text: str | None) -> bool:
    """Whether a tool's field says that there is nothing to say ("N/A", "[Not Supported]", deprecated)."""
    if text is None:
        return True
    plain = text.strip().strip("[]").casefold()
    return plain in ("", "n/a", "na", "none found", "not supported", "unknown") or "deprecated" in plain
