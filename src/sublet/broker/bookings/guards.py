"""What the database refuses by itself, whatever the code does: a node booked twice at once, a booking that moves.

PostgreSQL keeps the first by an exclusion constraint over (node, time range), SQLite by triggers before insert and
update; both keep the second by triggers. `STATEMENTS` is run after a fresh `bookings` table is made, and by migrations.
An empty interval (given back before it began) overlaps nothing, on both.
"""

from __future__ import annotations

from collections.abc import Mapping

from sublet.broker.bookings.tables import BookingRow
from sublet.storage.append_only import guard

_OVERLAP = """NEW.starts_at < NEW.ends_at AND EXISTS (
        SELECT 1 FROM bookings AS held
        WHERE held.node_id = NEW.node_id AND held.id <> NEW.id
            AND held.ends_at > NEW.starts_at AND held.starts_at < NEW.ends_at AND held.starts_at < held.ends_at
    )"""
_BOOKED = "bookings: this node is booked within that time"
_MOVED = "bookings: a confirmed booking never moves to another node, start, holder or kind"
_KEPT = "bookings: a booking is released, never deleted"
_FORM = "bookings: a time is written as 2026-01-31 09:30:00.000000"

# SQLite compares times as text, so text of another form must not enter: it would sort elsewhere and hide an overlap.
_MOMENT = "-".join(("[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2)) + " " + ":".join(["[0-9]" * 2] * 3) + "." + "[0-9]" * 6
_MALFORMED = f"NEW.starts_at NOT GLOB '{_MOMENT}' OR NEW.ends_at NOT GLOB '{_MOMENT}'"


def _trigger(name: str, moment: str, when: str, refusal: str) -> str:
    return (
        f"CREATE TRIGGER {name} BEFORE {moment} ON bookings FOR EACH ROW WHEN {when}\n"
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
    )


STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        _trigger("bookings_form_on_insert", "INSERT", _MALFORMED, _FORM),
        _trigger("bookings_form_on_update", "UPDATE", _MALFORMED, _FORM),
        _trigger("bookings_no_overlap_on_insert", "INSERT", _OVERLAP, _BOOKED),
        _trigger("bookings_no_overlap_on_update", "UPDATE", _OVERLAP, _BOOKED),
        _trigger(
            "bookings_never_move",
            "UPDATE",
            "(NEW.id, NEW.node_id, NEW.holder, NEW.kind, NEW.starts_at)"
            " IS NOT (OLD.id, OLD.node_id, OLD.holder, OLD.kind, OLD.starts_at)",
            _MOVED,
        ),
        _trigger("bookings_are_kept", "DELETE", "1", _KEPT),
    ),
    "postgresql": (
        "CREATE EXTENSION IF NOT EXISTS btree_gist",
        "ALTER TABLE bookings ADD CONSTRAINT bookings_no_overlap"
        " EXCLUDE USING gist (node_id WITH =, tstzrange(starts_at, ends_at) WITH &&)",
        f"""CREATE FUNCTION bookings_never_move() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                RAISE EXCEPTION '{_KEPT}' USING ERRCODE = 'restrict_violation';
            END IF;
            IF (NEW.id, NEW.node_id, NEW.holder, NEW.kind, NEW.starts_at)
                IS DISTINCT FROM (OLD.id, OLD.node_id, OLD.holder, OLD.kind, OLD.starts_at) THEN
                RAISE EXCEPTION '{_MOVED}' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER bookings_never_move BEFORE UPDATE OR DELETE ON bookings"
        " FOR EACH ROW EXECUTE FUNCTION bookings_never_move()",
    ),
}
"""Dialect -> the statements that guard `bookings`, in order."""

guard(BookingRow.__table__, STATEMENTS)
