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
    path = DOCS / page
    pattern = re.compile(rf"(<!-- begin {re.escape(name)}\b[^\n]*-->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
    old = path.read_text(encoding="utf-8")
    new, count = pattern.subn(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", old)
    if count != 1:
        raise ValueError(f"docs/{page} must have the markers '{name}' once, found {count}")
    path.write_text(new, encoding="utf-8")
