"""Generated parts of the docs: the text between two markers of a page, replaced by a command and by nothing else.

    <!-- begin NAME: made by COMMAND -->
    ...
    <!-- end NAME -->

Invariant: what stands outside the markers is never touched, and a page without the markers is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def replace(page: str, name: str, text: str) -> None:
    """Put `text` between the markers NAME of docs/PAGE; ValueError when the page does not have them once."""
    old = (DOCS / page).read_text(encoding="utf-8")
    found = _find(page, name, old)
    new = f"{old[: found.start(1)]}\n{text.strip()}\n\n{old[found.end(1) :]}"
    (DOCS / page).write_text(new, encoding="utf-8")


def current(page: str, name: str) -> str:
    """What stands between the markers NAME of docs/PAGE; ValueError when the page does not have them once."""
    return _find(page, name, (DOCS / page).read_text(encoding="utf-8"))[1].strip()


def _find(page: str, name: str, text: str) -> re.Match[str]:
    word = re.escape(name)
    pattern = re.compile(rf"<!-- begin {word}\b[^\n]*-->\n(.*?)<!-- end {word} -->", re.DOTALL)
    found = list(pattern.finditer(text))
    if len(found) != 1:
        raise ValueError(f"docs/{page} must have the markers '{name}' once, found {len(found)}")
    return found[0]
