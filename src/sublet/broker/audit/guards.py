"""What the database refuses by itself: an entry of the audit log that changes or goes."""

from __future__ import annotations

from sublet.broker.audit.tables import AuditRow
from sublet.storage.append_only import append_only, guard

STATEMENTS = append_only("audit_log", ("number",))
"""Dialect -> the statements that guard the log, in order."""

guard(AuditRow.__table__, STATEMENTS)
