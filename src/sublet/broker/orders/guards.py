"""A stored quote never changes and never goes: the database refuses, whatever the code does."""

from __future__ import annotations

from sublet.broker.orders.tables import QuoteRow
from sublet.storage.append_only import append_only, guard

STATEMENTS = append_only("quotes")
"""Dialect -> the statements that guard `quotes`, for a fresh schema and for migrations."""

guard(QuoteRow.__table__, STATEMENTS)
