"""First schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sublet.storage.schema import Amount, Document, UTCDateTime

revision = "0001"
down_revision = None


# What each database refuses by itself.
GUARDS = {
    "sqlite": (
        "CREATE TRIGGER audit_log_never_change BEFORE UPDATE ON audit_log FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'audit_log: rows are added, never changed or removed'); END",
        "CREATE TRIGGER audit_log_never_go BEFORE DELETE ON audit_log FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'audit_log: rows are added, never changed or removed'); END",
        "CREATE TRIGGER audit_log_never_replace BEFORE INSERT ON audit_log FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM audit_log AS kept WHERE kept.number = NEW.number)\n"
        "BEGIN SELECT RAISE(ABORT, 'audit_log: rows are added, never changed or removed'); END",
        "CREATE TRIGGER budget_warnings_never_change BEFORE UPDATE ON budget_warnings FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'budget_warnings: rows are added, never changed or removed'); END",
        "CREATE TRIGGER budget_warnings_never_go BEFORE DELETE ON budget_warnings FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'budget_warnings: rows are added, never changed or removed'); END",
        "CREATE TRIGGER budget_warnings_never_replace BEFORE INSERT ON budget_warnings FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM budget_warnings AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'budget_warnings: rows are added, never changed or removed'); END",
        "CREATE TRIGGER lease_prices_never_change BEFORE UPDATE ON lease_prices FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'lease_prices: rows are added, never changed or removed'); END",
        "CREATE TRIGGER lease_prices_never_go BEFORE DELETE ON lease_prices FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'lease_prices: rows are added, never changed or removed'); END",
        "CREATE TRIGGER lease_prices_never_replace BEFORE INSERT ON lease_prices FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM lease_prices AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'lease_prices: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_transactions_never_change BEFORE UPDATE ON ledger_transactions FOR EACH "
        "ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_transactions: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_transactions_never_go BEFORE DELETE ON ledger_transactions FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_transactions: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_transactions_never_replace BEFORE INSERT ON ledger_transactions FOR EACH "
        "ROW\n"
        "WHEN EXISTS (SELECT 1 FROM ledger_transactions AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_transactions: rows are added, never changed or removed'); END",
        "CREATE TRIGGER margin_rules_never_change BEFORE UPDATE ON margin_rules FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'margin_rules: rows are added, never changed or removed'); END",
        "CREATE TRIGGER margin_rules_never_go BEFORE DELETE ON margin_rules FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'margin_rules: rows are added, never changed or removed'); END",
        "CREATE TRIGGER margin_rules_never_replace BEFORE INSERT ON margin_rules FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM margin_rules AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'margin_rules: rows are added, never changed or removed'); END",
        "CREATE TRIGGER receipts_never_change BEFORE UPDATE ON receipts FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'receipts: rows are added, never changed or removed'); END",
        "CREATE TRIGGER receipts_never_go BEFORE DELETE ON receipts FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'receipts: rows are added, never changed or removed'); END",
        "CREATE TRIGGER receipts_never_replace BEFORE INSERT ON receipts FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM receipts AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'receipts: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_differences_never_change BEFORE UPDATE ON usage_differences FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_differences: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_differences_never_go BEFORE DELETE ON usage_differences FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_differences: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_differences_never_replace BEFORE INSERT ON usage_differences FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM usage_differences AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_differences: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_records_no_overlap BEFORE INSERT ON usage_records FOR EACH ROW WHEN EXISTS "
        "(\n"
        "        SELECT 1 FROM usage_records AS other\n"
        "        WHERE other.node_id = NEW.node_id AND other.ends_at > NEW.starts_at AND other.starts_at "
        "< NEW.ends_at\n"
        "            AND (other.lease_id = NEW.lease_id OR (other.billable AND NEW.billable))\n"
        "    )\n"
        "    BEGIN SELECT RAISE(ABORT, 'usage_records: this second of this node is metered already'); "
        "END",
        "CREATE TRIGGER usage_records_never_change BEFORE UPDATE ON usage_records FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_records: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_records_never_go BEFORE DELETE ON usage_records FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_records: rows are added, never changed or removed'); END",
        "CREATE TRIGGER usage_records_never_replace BEFORE INSERT ON usage_records FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM usage_records AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'usage_records: rows are added, never changed or removed'); END",
        "CREATE TRIGGER bookings_form_on_insert BEFORE INSERT ON bookings FOR EACH ROW WHEN "
        "NEW.starts_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
        "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]' OR NEW.ends_at NOT GLOB "
        "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
        "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]'\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: a time is written as 2026-01-31 09:30:00.000000'); END",
        "CREATE TRIGGER bookings_form_on_update BEFORE UPDATE ON bookings FOR EACH ROW WHEN "
        "NEW.starts_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
        "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]' OR NEW.ends_at NOT GLOB "
        "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
        "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]'\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: a time is written as 2026-01-31 09:30:00.000000'); END",
        "CREATE TRIGGER bookings_no_overlap_on_insert BEFORE INSERT ON bookings FOR EACH ROW WHEN "
        "NEW.starts_at < NEW.ends_at AND EXISTS (\n"
        "        SELECT 1 FROM bookings AS held\n"
        "        WHERE held.node_id = NEW.node_id AND held.id <> NEW.id\n"
        "            AND held.ends_at > NEW.starts_at AND held.starts_at < NEW.ends_at AND "
        "held.starts_at < held.ends_at\n"
        "    )\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: this node is booked within that time'); END",
        "CREATE TRIGGER bookings_no_overlap_on_update BEFORE UPDATE ON bookings FOR EACH ROW WHEN "
        "NEW.starts_at < NEW.ends_at AND EXISTS (\n"
        "        SELECT 1 FROM bookings AS held\n"
        "        WHERE held.node_id = NEW.node_id AND held.id <> NEW.id\n"
        "            AND held.ends_at > NEW.starts_at AND held.starts_at < NEW.ends_at AND "
        "held.starts_at < held.ends_at\n"
        "    )\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: this node is booked within that time'); END",
        "CREATE TRIGGER bookings_never_move BEFORE UPDATE ON bookings FOR EACH ROW WHEN (NEW.id, "
        "NEW.node_id, NEW.holder, NEW.kind, NEW.starts_at) IS NOT (OLD.id, OLD.node_id, OLD.holder, "
        "OLD.kind, OLD.starts_at)\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: a confirmed booking never moves to another node, start, "
        "holder or kind'); END",
        "CREATE TRIGGER bookings_are_kept BEFORE DELETE ON bookings FOR EACH ROW WHEN 1\n"
        "BEGIN SELECT RAISE(ABORT, 'bookings: a booking is released, never deleted'); END",
        "CREATE TRIGGER charges_never_change BEFORE UPDATE ON charges FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'charges: rows are added, never changed or removed'); END",
        "CREATE TRIGGER charges_never_go BEFORE DELETE ON charges FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'charges: rows are added, never changed or removed'); END",
        "CREATE TRIGGER charges_never_replace BEFORE INSERT ON charges FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM charges AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'charges: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_entries_never_change BEFORE UPDATE ON ledger_entries FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_entries: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_entries_never_go BEFORE DELETE ON ledger_entries FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_entries: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_entries_never_replace BEFORE INSERT ON ledger_entries FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM ledger_entries AS kept WHERE kept.transaction_id = "
        "NEW.transaction_id AND kept.number = NEW.number)\n"
        "BEGIN SELECT RAISE(ABORT, 'ledger_entries: rows are added, never changed or removed'); END",
        "CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions FOR EACH ROW\n"
        "    WHEN (SELECT count(*) FROM ledger_entries WHERE transaction_id = NEW.id) < 2 OR EXISTS (\n"
        "        SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id GROUP BY currency HAVING "
        "exact_sum(amount) <> '0'\n"
        "    )\n"
        "    BEGIN SELECT RAISE(ABORT, 'ledger: a transaction has two entries or more, and they sum to "
        "zero in each currency'); END",
        "CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries FOR EACH ROW\n"
        "    WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id)\n"
        "    BEGIN SELECT RAISE(ABORT, 'ledger: this transaction is sealed, no entry is added to it'); "
        "END",
        "CREATE TRIGGER quotes_never_change BEFORE UPDATE ON quotes FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'quotes: rows are added, never changed or removed'); END",
        "CREATE TRIGGER quotes_never_go BEFORE DELETE ON quotes FOR EACH ROW\n"
        "BEGIN SELECT RAISE(ABORT, 'quotes: rows are added, never changed or removed'); END",
        "CREATE TRIGGER quotes_never_replace BEFORE INSERT ON quotes FOR EACH ROW\n"
        "WHEN EXISTS (SELECT 1 FROM quotes AS kept WHERE kept.id = NEW.id)\n"
        "BEGIN SELECT RAISE(ABORT, 'quotes: rows are added, never changed or removed'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'audit_log: rows are added, never changed or removed' USING ERRCODE = "
        "'restrict_violation'; END $$",
        "CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW "
        "EXECUTE FUNCTION audit_log_only_grows()",
        "CREATE TRIGGER audit_log_never_emptied BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT "
        "EXECUTE FUNCTION audit_log_only_grows()",
        "CREATE FUNCTION budget_warnings_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'budget_warnings: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER budget_warnings_only_grows BEFORE UPDATE OR DELETE ON budget_warnings FOR "
        "EACH ROW EXECUTE FUNCTION budget_warnings_only_grows()",
        "CREATE TRIGGER budget_warnings_never_emptied BEFORE TRUNCATE ON budget_warnings FOR EACH "
        "STATEMENT EXECUTE FUNCTION budget_warnings_only_grows()",
        "CREATE FUNCTION lease_prices_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'lease_prices: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER lease_prices_only_grows BEFORE UPDATE OR DELETE ON lease_prices FOR EACH ROW "
        "EXECUTE FUNCTION lease_prices_only_grows()",
        "CREATE TRIGGER lease_prices_never_emptied BEFORE TRUNCATE ON lease_prices FOR EACH "
        "STATEMENT EXECUTE FUNCTION lease_prices_only_grows()",
        "CREATE FUNCTION ledger_transactions_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'ledger_transactions: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER ledger_transactions_only_grows BEFORE UPDATE OR DELETE ON "
        "ledger_transactions FOR EACH ROW EXECUTE FUNCTION ledger_transactions_only_grows()",
        "CREATE TRIGGER ledger_transactions_never_emptied BEFORE TRUNCATE ON ledger_transactions FOR "
        "EACH STATEMENT EXECUTE FUNCTION ledger_transactions_only_grows()",
        "CREATE FUNCTION margin_rules_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'margin_rules: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER margin_rules_only_grows BEFORE UPDATE OR DELETE ON margin_rules FOR EACH ROW "
        "EXECUTE FUNCTION margin_rules_only_grows()",
        "CREATE TRIGGER margin_rules_never_emptied BEFORE TRUNCATE ON margin_rules FOR EACH "
        "STATEMENT EXECUTE FUNCTION margin_rules_only_grows()",
        "CREATE FUNCTION receipts_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'receipts: rows are added, never changed or removed' USING ERRCODE = "
        "'restrict_violation'; END $$",
        "CREATE TRIGGER receipts_only_grows BEFORE UPDATE OR DELETE ON receipts FOR EACH ROW EXECUTE "
        "FUNCTION receipts_only_grows()",
        "CREATE TRIGGER receipts_never_emptied BEFORE TRUNCATE ON receipts FOR EACH STATEMENT "
        "EXECUTE FUNCTION receipts_only_grows()",
        "CREATE FUNCTION usage_differences_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'usage_differences: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER usage_differences_only_grows BEFORE UPDATE OR DELETE ON usage_differences "
        "FOR EACH ROW EXECUTE FUNCTION usage_differences_only_grows()",
        "CREATE TRIGGER usage_differences_never_emptied BEFORE TRUNCATE ON usage_differences FOR "
        "EACH STATEMENT EXECUTE FUNCTION usage_differences_only_grows()",
        "CREATE EXTENSION IF NOT EXISTS btree_gist",
        "ALTER TABLE usage_records ADD CONSTRAINT usage_records_metered_once EXCLUDE USING gist "
        "(lease_id WITH =, node_id WITH =, tstzrange(starts_at, ends_at) WITH &&)",
        "ALTER TABLE usage_records ADD CONSTRAINT usage_records_billed_once EXCLUDE USING gist "
        "(node_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (billable)",
        "CREATE FUNCTION usage_records_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'usage_records: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER usage_records_only_grows BEFORE UPDATE OR DELETE ON usage_records FOR EACH "
        "ROW EXECUTE FUNCTION usage_records_only_grows()",
        "CREATE TRIGGER usage_records_never_emptied BEFORE TRUNCATE ON usage_records FOR EACH "
        "STATEMENT EXECUTE FUNCTION usage_records_only_grows()",
        "CREATE EXTENSION IF NOT EXISTS btree_gist",
        "ALTER TABLE bookings ADD CONSTRAINT bookings_no_overlap EXCLUDE USING gist (node_id WITH =, "
        "tstzrange(starts_at, ends_at) WITH &&)",
        "CREATE FUNCTION bookings_never_move() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "        BEGIN\n"
        "            IF TG_OP = 'DELETE' THEN\n"
        "                RAISE EXCEPTION 'bookings: a booking is released, never deleted' USING "
        "ERRCODE = 'restrict_violation';\n"
        "            END IF;\n"
        "            IF (NEW.id, NEW.node_id, NEW.holder, NEW.kind, NEW.starts_at)\n"
        "                IS DISTINCT FROM (OLD.id, OLD.node_id, OLD.holder, OLD.kind, OLD.starts_at) "
        "THEN\n"
        "                RAISE EXCEPTION 'bookings: a confirmed booking never moves to another node, "
        "start, holder or kind' USING ERRCODE = 'restrict_violation';\n"
        "            END IF;\n"
        "            RETURN NEW;\n"
        "        END $$",
        "CREATE TRIGGER bookings_never_move BEFORE UPDATE OR DELETE ON bookings FOR EACH ROW EXECUTE "
        "FUNCTION bookings_never_move()",
        "CREATE FUNCTION charges_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'charges: rows are added, never changed or removed' USING ERRCODE = "
        "'restrict_violation'; END $$",
        "CREATE TRIGGER charges_only_grows BEFORE UPDATE OR DELETE ON charges FOR EACH ROW EXECUTE "
        "FUNCTION charges_only_grows()",
        "CREATE TRIGGER charges_never_emptied BEFORE TRUNCATE ON charges FOR EACH STATEMENT EXECUTE "
        "FUNCTION charges_only_grows()",
        "CREATE FUNCTION ledger_entries_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'ledger_entries: rows are added, never changed or removed' USING "
        "ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER ledger_entries_only_grows BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH "
        "ROW EXECUTE FUNCTION ledger_entries_only_grows()",
        "CREATE TRIGGER ledger_entries_never_emptied BEFORE TRUNCATE ON ledger_entries FOR EACH "
        "STATEMENT EXECUTE FUNCTION ledger_entries_only_grows()",
        "CREATE FUNCTION ledger_transactions_balance() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "    BEGIN\n"
        "        IF (SELECT count(*) FROM ledger_entries WHERE transaction_id = NEW.id) < 2 OR "
        "EXISTS (\n"
        "            SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id GROUP BY currency "
        "HAVING sum(amount) <> 0\n"
        "        ) THEN\n"
        "            RAISE EXCEPTION 'ledger: a transaction has two entries or more, and they sum to "
        "zero in each currency' USING ERRCODE = 'check_violation';\n"
        "        END IF;\n"
        "        RETURN NEW;\n"
        "    END $$",
        "CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions FOR EACH "
        "ROW EXECUTE FUNCTION ledger_transactions_balance()",
        "CREATE FUNCTION ledger_entries_sealed() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "    BEGIN\n"
        "        IF EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id) THEN\n"
        "            RAISE EXCEPTION 'ledger: this transaction is sealed, no entry is added to it' "
        "USING ERRCODE = 'restrict_violation';\n"
        "        END IF;\n"
        "        RETURN NEW;\n"
        "    END $$",
        "CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries FOR EACH ROW EXECUTE "
        "FUNCTION ledger_entries_sealed()",
        "CREATE FUNCTION quotes_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION 'quotes: rows are added, never changed or removed' USING ERRCODE = "
        "'restrict_violation'; END $$",
        "CREATE TRIGGER quotes_only_grows BEFORE UPDATE OR DELETE ON quotes FOR EACH ROW EXECUTE "
        "FUNCTION quotes_only_grows()",
        "CREATE TRIGGER quotes_never_emptied BEFORE TRUNCATE ON quotes FOR EACH STATEMENT EXECUTE "
        "FUNCTION quotes_only_grows()",
    ),
}


def upgrade() -> None:
    """What changes."""
    op.create_table(
        "accruals",
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("weight", Amount(), nullable=False),
        sa.Column("usage", Amount(), nullable=False),
        sa.Column("other", Amount(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "side", "currency", name=op.f("pk_accruals")),
    )
    op.create_index(op.f("ix_accruals_project_id"), "accruals", ["project_id"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("project_id", sa.String(length=40), nullable=True),
        sa.Column("address", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("target", sa.String(length=100), nullable=False),
        sa.Column("outcome", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_action"), "audit_log", ["action"], unique=False)
    op.create_index(op.f("ix_audit_log_actor"), "audit_log", ["actor"], unique=False)
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"], unique=False)
    op.create_index(op.f("ix_audit_log_organisation_id"), "audit_log", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_audit_log_target"), "audit_log", ["target"], unique=False)
    op.create_table(
        "budget_warnings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("budget", Amount(), nullable=False),
        sa.Column("spent", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_warnings")),
        sa.UniqueConstraint(
            "project_id",
            "percent",
            "budget",
            "currency",
            name=op.f("uq_budget_warnings_project_id_percent_budget_currency"),
        ),
    )
    op.create_table(
        "calendar_nodes",
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("opens_at", UTCDateTime(), nullable=False),
        sa.Column("closes_at", UTCDateTime(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.CheckConstraint("opens_at <= closes_at", name=op.f("ck_calendar_nodes_term")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_calendar_nodes")),
    )
    op.create_index(op.f("ix_calendar_nodes_shape_node_id"), "calendar_nodes", ["shape", "node_id"], unique=False)
    op.create_table(
        "caps",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=True),
        sa.Column("accelerators", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_at", UTCDateTime(), nullable=False),
        sa.Column("set_by", sa.String(length=80), nullable=False),
        sa.CheckConstraint("kind IN ('organisation', 'group', 'project')", name=op.f("ck_caps_kind")),
        sa.CheckConstraint("nodes >= 0 AND accelerators >= 0", name=op.f("ck_caps_counts")),
        sa.CheckConstraint("nodes IS NOT NULL OR accelerators IS NOT NULL", name=op.f("ck_caps_something")),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_caps")),
    )
    op.create_table(
        "commit_marks",
        sa.Column("connection", sa.String(length=40), nullable=False),
        sa.Column("mark", sa.String(length=40), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_commit_marks")),
    )
    op.create_table(
        "contracts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("accelerator", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("accelerators_per_node", sa.Integer(), nullable=False),
        sa.Column("price_per_node_hour", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("minimum_node_hours", Amount(), nullable=False),
        sa.Column("tags", Document, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("returning_since", UTCDateTime(), nullable=True),
        sa.Column("return_reason", sa.Text(), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_contracts_term")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contracts")),
    )
    op.create_table(
        "lease_changes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("ends_before", UTCDateTime(), nullable=False),
        sa.Column("ends_after", UTCDateTime(), nullable=False),
        sa.Column("quote_id", sa.String(length=40), nullable=True),
        sa.Column("price", Amount(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease_changes")),
        sa.UniqueConstraint("lease_id", "idempotency_key", name=op.f("uq_lease_changes_lease_id_idempotency_key")),
    )
    op.create_table(
        "lease_events",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", Document, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_lease_events")),
        sa.UniqueConstraint("id", name=op.f("uq_lease_events_id")),
    )
    op.create_index(op.f("ix_lease_events_lease_id_number"), "lease_events", ["lease_id", "number"], unique=False)
    op.create_index(
        op.f("ix_lease_events_organisation_id_number"), "lease_events", ["organisation_id", "number"], unique=False
    )
    op.create_table(
        "lease_intents",
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("nodes", Document, nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("written_at", UTCDateTime(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=False),
        sa.Column("answered_at", UTCDateTime(), nullable=True),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_lease_intents")),
    )
    op.create_index(op.f("ix_lease_intents_lease_id_done_at"), "lease_intents", ["lease_id", "done_at"], unique=False)
    op.create_table(
        "lease_prices",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("rate", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("quote_id", sa.String(length=40), nullable=True),
        sa.Column("agreed_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease_prices")),
    )
    op.create_index(op.f("ix_lease_prices_lease_id_id"), "lease_prices", ["lease_id", "id"], unique=False)
    op.create_table(
        "lease_runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("argv", Document, nullable=False),
        sa.Column("job", sa.Boolean(), nullable=False),
        sa.Column("started_by", sa.String(length=40), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease_runs")),
    )
    op.create_index(op.f("ix_lease_runs_ended_at"), "lease_runs", ["ended_at"], unique=False)
    op.create_index(op.f("ix_lease_runs_lease_id_id"), "lease_runs", ["lease_id", "id"], unique=False)
    op.create_table(
        "lease_slots",
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("serving_since", UTCDateTime(), nullable=True),
        sa.Column("metered_until", UTCDateTime(), nullable=True),
        sa.Column("served_until", UTCDateTime(), nullable=True),
        sa.Column("search_at", UTCDateTime(), nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("certificate", Document, nullable=True),
        sa.PrimaryKeyConstraint("lease_id", "number", "generation", name=op.f("pk_lease_slots")),
    )
    op.create_index(op.f("ix_lease_slots_node_id"), "lease_slots", ["node_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("quote_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("accelerator", sa.Text(), nullable=False),
        sa.Column("accelerators_per_node", sa.Integer(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=80), nullable=False),
        sa.Column("price", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("terms", Document, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("active_at", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("end_requested_at", UTCDateTime(), nullable=True),
        sa.Column("ended_by", sa.String(length=16), nullable=True),
        sa.Column("accrued_at", UTCDateTime(), nullable=True),
        sa.Column("seen_at", UTCDateTime(), nullable=True),
        sa.Column("alerted_at", UTCDateTime(), nullable=True),
        sa.Column("stopped_at", UTCDateTime(), nullable=True),
        sa.Column("quiet_since", UTCDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=True),
        sa.Column("claimed_by", sa.String(length=80), nullable=True),
        sa.Column("claim_until", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
        sa.UniqueConstraint("order_id", name=op.f("uq_leases_order_id")),
        sa.UniqueConstraint("tag", name=op.f("uq_leases_tag")),
    )
    op.create_index(op.f("ix_leases_next_at"), "leases", ["next_at"], unique=False)
    op.create_index(op.f("ix_leases_organisation_id_id"), "leases", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_leases_project_id_id"), "leases", ["project_id", "id"], unique=False)
    op.create_index(op.f("ix_leases_state"), "leases", ["state"], unique=False)
    op.create_table(
        "ledger_transactions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("project_id", sa.String(length=40), nullable=True),
        sa.Column("lease_id", sa.String(length=40), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transactions")),
        sa.UniqueConstraint("kind", "reference", name=op.f("uq_ledger_transactions_kind_reference")),
    )
    op.create_index(op.f("ix_ledger_transactions_lease_id"), "ledger_transactions", ["lease_id"], unique=False)
    op.create_index(
        op.f("ix_ledger_transactions_organisation_id_id"),
        "ledger_transactions",
        ["organisation_id", "id"],
        unique=False,
    )
    op.create_table(
        "margin_rules",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("accelerator", sa.Text(), nullable=False),
        sa.Column("markup", Amount(), nullable=False),
        sa.Column("floor", Amount(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_margin_rules")),
    )
    op.create_table(
        "node_proofs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("window", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("measured", Document, nullable=False),
        sa.Column("certificate", Document, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_proofs")),
    )
    op.create_index(op.f("ix_node_proofs_node_id_id"), "node_proofs", ["node_id", "id"], unique=False)
    op.create_table(
        "node_provings",
        sa.Column("window_id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("actor", Document, nullable=False),
        sa.Column("durable", sa.Boolean(), nullable=False),
        sa.Column("begun_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("proof_id", sa.String(length=40), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("window_id", name=op.f("pk_node_provings")),
    )
    op.create_index(op.f("ix_node_provings_finished_at"), "node_provings", ["finished_at"], unique=False)
    op.create_table(
        "organisations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("group", sa.String(length=200), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
    )
    op.create_index(op.f("ix_organisations_group"), "organisations", ["group"], unique=False)
    op.create_table(
        "orphans",
        sa.Column("provider", sa.String(length=80), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("found_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("gone_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "ref", name=op.f("pk_orphans")),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("issued_at", UTCDateTime(), nullable=False),
        sa.Column("total", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("document", Document, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("lease_id", name=op.f("uq_receipts_lease_id")),
    )
    op.create_index(op.f("ix_receipts_organisation_id_id"), "receipts", ["organisation_id", "id"], unique=False)
    op.create_table(
        "replies",
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("holder", "key", name=op.f("pk_replies")),
    )
    op.create_index(op.f("ix_replies_created_at"), "replies", ["created_at"], unique=False)
    op.create_table(
        "usage_differences",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("found_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_differences")),
        sa.UniqueConstraint(
            "lease_id",
            "node_id",
            "kind",
            "starts_at",
            name=op.f("uq_usage_differences_lease_id_node_id_kind_starts_at"),
        ),
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=80), nullable=False),
        sa.Column("accelerator", sa.Text(), nullable=False),
        sa.Column("accelerators", sa.Integer(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("billable = (kind = 'service')", name=op.f("ck_usage_records_kind")),
        sa.CheckConstraint("accelerators >= 0", name=op.f("ck_usage_records_accelerators")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_usage_records_number")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_usage_records_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_records")),
        sa.UniqueConstraint(
            "lease_id", "node_id", "starts_at", name=op.f("uq_usage_records_lease_id_node_id_starts_at")
        ),
        sa.UniqueConstraint("lease_id", "number", name=op.f("uq_usage_records_lease_id_number")),
    )
    op.create_index(op.f("ix_usage_records_node_id_ends_at"), "usage_records", ["node_id", "ends_at"], unique=False)
    op.create_index(
        op.f("ix_usage_records_project_id_starts_at"), "usage_records", ["project_id", "starts_at"], unique=False
    )
    op.create_table(
        "webhook_cursors",
        sa.Column("stream", sa.String(length=20), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_webhook_cursors")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", Document, nullable=False),
        sa.Column("secret", sa.String(length=80), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("disabled_at", UTCDateTime(), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=False),
        sa.Column("failing_since", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_organisation_id"), "webhooks", ["organisation_id"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("contract_id", sa.String(length=40), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("price_per_node_hour", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("nodes > 0", name=op.f("ck_blocks_nodes")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_blocks_term")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_blocks_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    op.create_index(op.f("ix_blocks_contract_id"), "blocks", ["contract_id"], unique=False)
    op.create_table(
        "bookings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("released_at", UTCDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('lease', 'maintenance', 'outage')", name=op.f("ck_bookings_kind")),
        sa.CheckConstraint("starts_at <= ends_at", name=op.f("ck_bookings_order")),
        sa.ForeignKeyConstraint(
            ["node_id"], ["calendar_nodes.node_id"], name=op.f("fk_bookings_node_id_calendar_nodes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
    )
    op.create_index(op.f("ix_bookings_holder"), "bookings", ["holder"], unique=False)
    op.create_index(op.f("ix_bookings_node_id_ends_at"), "bookings", ["node_id", "ends_at"], unique=False)
    op.create_table(
        "charges",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=40), nullable=True),
        sa.Column("lease_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("party", sa.String(length=80), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=True),
        sa.Column("last", sa.BigInteger(), nullable=True),
        sa.Column("units", Amount(), nullable=False),
        sa.Column("rate", Amount(), nullable=False),
        sa.Column("amount", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint("side IN ('price', 'cost')", name=op.f("ck_charges_side")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transactions.id"], name=op.f("fk_charges_transaction_id_ledger_transactions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
    )
    op.create_index(op.f("ix_charges_day_side"), "charges", ["day", "side"], unique=False)
    op.create_index(op.f("ix_charges_lease_id_side"), "charges", ["lease_id", "side"], unique=False)
    op.create_index(op.f("ix_charges_project_id_day"), "charges", ["project_id", "day"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("transaction_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("amount", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transactions.id"],
            name=op.f("fk_ledger_entries_transaction_id_ledger_transactions"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("transaction_id", "number", name=op.f("pk_ledger_entries")),
    )
    op.create_index(
        op.f("ix_ledger_entries_account_transaction_id"), "ledger_entries", ["account", "transaction_id"], unique=False
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_people_organisation_id_organisations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
    )
    op.create_index(op.f("ix_people_organisation_id"), "people", ["organisation_id"], unique=False)
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("budget", Amount(), nullable=True),
        sa.Column("budget_currency", sa.String(length=3), nullable=True),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("hard_stop", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_projects_organisation_id_organisations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("organisation_id", "name", name=op.f("uq_projects_organisation_id_name")),
    )
    op.create_index(op.f("ix_projects_organisation_id"), "projects", ["organisation_id"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("hook_id", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("payload", Document, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=True),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["hook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_hook_id_webhooks")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("hook_id", "event_id", name=op.f("uq_webhook_deliveries_hook_id_event_id")),
    )
    op.create_index(op.f("ix_webhook_deliveries_next_at"), "webhook_deliveries", ["next_at"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("block_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state_since", UTCDateTime(), nullable=False),
        sa.Column("returned_at", UTCDateTime(), nullable=True),
        sa.Column("tags", Document, nullable=False),
        sa.Column("sold", Document, nullable=False),
        sa.CheckConstraint(
            "state IN ('delivered', 'healthy', 'cordoned', 'draining', 'maintenance', 'failed', 'returned')",
            name=op.f("ck_nodes_state"),
        ),
        sa.ForeignKeyConstraint(["block_id"], ["blocks.id"], name=op.f("fk_nodes_block_id_blocks")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_index(op.f("ix_nodes_block_id"), "nodes", ["block_id"], unique=False)
    op.create_index(op.f("ix_nodes_state"), "nodes", ["state"], unique=False)
    op.create_table(
        "quotes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("accelerator", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("price", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("hours", Amount(), nullable=False),
        sa.Column("estimate", Document, nullable=False),
        sa.Column("terms", Document, nullable=False),
        sa.Column("job", Document, nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.CheckConstraint("nodes > 0 AND count > 0 AND count % nodes = 0", name=op.f("ck_quotes_machines")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_quotes_organisation_id_organisations")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_quotes_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotes")),
    )
    op.create_index(op.f("ix_quotes_project_id_id"), "quotes", ["project_id", "id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("project_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("scopes", sa.String(length=2000), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("last_used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_tokens_organisation_id_organisations")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_tokens_person_id_people")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_tokens_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_index(op.f("ix_tokens_organisation_id"), "tokens", ["organisation_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("quote_id", sa.String(length=40), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("accelerators", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("start", UTCDateTime(), nullable=True),
        sa.Column("window_end", UTCDateTime(), nullable=True),
        sa.Column("commitment", Amount(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=True),
        sa.Column("ends_at", UTCDateTime(), nullable=True),
        sa.Column("lease_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.CheckConstraint("(state = 'accepted') <= (lease_id IS NOT NULL)", name=op.f("ck_orders_lease")),
        sa.CheckConstraint(
            "state IN ('pending-approval', 'waitlisted', 'accepted', 'refused', 'cancelled')",
            name=op.f("ck_orders_state"),
        ),
        sa.CheckConstraint("nodes > 0 AND seconds > 0", name=op.f("ck_orders_size")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_orders_organisation_id_organisations")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_orders_project_id_projects")),
        sa.ForeignKeyConstraint(["quote_id"], ["quotes.id"], name=op.f("fk_orders_quote_id_quotes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("project_id", "idempotency_key", name=op.f("uq_orders_project_id_idempotency_key")),
    )
    op.create_index(op.f("ix_orders_organisation_id_id"), "orders", ["organisation_id", "id"], unique=False)
    op.create_index(op.f("ix_orders_project_id_id"), "orders", ["project_id", "id"], unique=False)
    op.create_index(op.f("ix_orders_state"), "orders", ["state"], unique=False)
    op.create_table(
        "waitlist",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("entered_at", UTCDateTime(), nullable=False),
        sa.Column("left_at", UTCDateTime(), nullable=True),
        sa.Column("reasons", Document, nullable=False),
        sa.Column("looked_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_waitlist_order_id_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist")),
        sa.UniqueConstraint("order_id", name=op.f("uq_waitlist_order_id")),
    )
    op.create_index(op.f("ix_waitlist_left_at_shape"), "waitlist", ["left_at", "shape"], unique=False)
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
