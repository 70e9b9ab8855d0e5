"""Identifiers: `<prefix>_<26 characters>`, unique without asking the database, sorted by the time they were made.

The 26 characters are a ULID (48 bits of milliseconds, 80 bits of chance, Crockford's base 32). Identifiers made by one
process at one millisecond ascend, so a list sorted by id is a list sorted by creation, and a page's cursor is an id.
"""

from __future__ import annotations

import re
import secrets
import threading
from datetime import datetime

from sublet.storage.clock import utc

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHANCE_BITS = 80
_ID = re.compile(rf"[a-z]{{2,6}}_[0-7][{ALPHABET}]{{25}}")

_lock = threading.Lock()
_last: tuple[int, int] = (-1, 0)  # millisecond and chance of the newest id of this process


def new(prefix: str, now: datetime) -> str:
    """A fresh identifier such as `lea_01JG8Z...`, made at `now` (aware); `prefix` is 2 to 6 small letters."""
    global _last
    millisecond = int(utc(now).timestamp() * 1000)
    with _lock:
        if millisecond == _last[0]:
            chance = _last[1] + 1 + secrets.randbits(16)
            if chance >> _CHANCE_BITS:  # a carry would change the millisecond: start low again
                chance = secrets.randbits(_CHANCE_BITS - 1)
        else:
            chance = secrets.randbits(_CHANCE_BITS - 1)  # the top bit is room to ascend
        _last = (millisecond, chance)
    identifier = f"{prefix}_{_encode((millisecond << _CHANCE_BITS) | chance)}"
    if not is_id(identifier):
        raise ValueError(
            f"{prefix!r} at {now.isoformat()} makes no identifier: 2 to 6 small letters, a year after 1970"
        )
    return identifier


def is_id(text: str, prefix: str | None = None) -> bool:
    """Whether `text` is written as an identifier (of this prefix, where one is given)."""
    return _ID.fullmatch(text) is not None and (prefix is None or text.startswith(f"{prefix}_"))


def _encode(number: int) -> str:
    letters = []
    for _ in range(26):
        number, index = divmod(number, 32)
        letters.append(ALPHABET[index])
    return "".join(reversed(letters))
