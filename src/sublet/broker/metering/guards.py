"""What the database refuses by itself: usage that changes or goes, a second metered twice, a node billed to two leases.

PostgreSQL keeps the overlaps by exclusion constraints, SQLite by a trigger; both tables only grow.
"""

from __future__ import annotations

from sublet.broker.metering.tables import DifferenceRow, UsageRow
from sublet.storage.append_only import append_only, guard, joined

_OVERLAP = {
    "sqlite": (
        """CREATE TRIGGER usage_records_no_overlap BEFORE INSERT ON usage_records FOR EACH ROW WHEN EXISTS (
        SELECT 1 FROM usage_records AS other
        WHERE other.node_id = NEW.node_id AND other.ends_at > NEW.starts_at AND other.starts_at < NEW.ends_at
            AND (other.lease_id = NEW.lease_id OR (other.billable AND NEW.billable))
    )
    BEGIN SELECT RAISE(ABORT, 'usage_records: this second of this node is metered already'); END""",
    ),
    "postgresql": (
        "CREATE EXTENSION IF NOT EXISTS btree_gist",
        "ALTER TABLE usage_records ADD CONSTRAINT usage_records_metered_once"
        " EXCLUDE USING gist (lease_id WITH =, node_id WITH =, tstzrange(starts_at, ends_at) WITH &&)",
        "ALTER TABLE usage_records ADD CONSTRAINT usage_records_billed_once"
        " EXCLUDE USING gist (node_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (billable)",
    ),
}

STATEMENTS = {
    "usage_records": joined(_OVERLAP, append_only("usage_records")),
    "usage_differences": append_only("usage_differences"),
}
"""Table -> dialect -> the statements that guard it, in order."""

guard(UsageRow.__table__, STATEMENTS["usage_records"])
guard(DifferenceRow.__table__, STATEMENTS["usage_differences"])
