"""The page of checks says what the data files say."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_checks_is_what_the_catalogue_makes_of_it():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        tool, marked = import_module("qualification_checks"), import_module("marked")
    finally:
        sys.path.pop(0)
    for name, part in tool.PARTS.items():
        assert marked.current(tool.PAGE, name) == part().strip(), f"run tools/qualification_checks.py ({name})"
