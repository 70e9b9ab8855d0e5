"""docs/api.md says what the code says: its tables are those that their tool makes, its example verifies a signature."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from sublet.broker.hooks import signing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("part", ["routes", "statuses", "types", "kinds"])
def test_the_tables_are_current(part, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    marked, tables = import_module("marked"), import_module("api_tables")
    made = tables.PARTS[part]()
    assert len(made.splitlines()) > 5
    assert marked.current("api.md", part) == made.strip(), "run .venv/bin/python tools/api_tables.py"


def test_the_receivers_check_in_the_docs_is_right():
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)
    secret, body = signing.new_secret(), b'{"type":"ping"}'
    headers = signing.sign(secret, "dlv_1", datetime.now(UTC), body)
    assert names["ours"](secret, headers, body)
    assert not names["ours"](secret, headers, body + b" ")
    assert not names["ours"](signing.new_secret(), headers, body)
    assert not names["ours"](secret, signing.sign(secret, "dlv_1", datetime(2026, 1, 1, tzinfo=UTC), body), body)
