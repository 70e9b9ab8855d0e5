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
    ),
    "postgresql": (
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
    ),
}


def upgrade() -> None:
    """What changes."""
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
        "organisations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
    )
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
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
