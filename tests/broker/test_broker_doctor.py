"""Each law that `sublet doctor` checks: broken by hand, behind the back of rooms and guards, it is found and said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from sqlalchemy import JSON, Boolean, Integer, String, delete, insert, text, update

from sublet.broker import doctor
from sublet.broker.audit import log as audit
from sublet.broker.audit.tables import AuditRow
from sublet.broker.billing.tables import AccrualRow, EntryRow, TransactionRow
from sublet.broker.bookings.tables import BookingRow, CalendarNode
from sublet.broker.leases.tables import EventRow, IntentRow, LeaseRow, OrphanRow, SlotRow
from sublet.broker.metering.tables import UsageRow
from sublet.broker.orders.tables import OrderRow, QuoteRow
from sublet.broker.supply.tables import ContractRow
from sublet.broker.tenants.tables import OrganisationRow, ProjectRow
from sublet.broker.tenants.values import SYSTEM
from sublet.providers.protocol import Capabilities, Found, NodeFacts, NodeRef, ProviderUnavailable, UnknownRef
from sublet.storage.schema import Amount, UTCDateTime

START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = START + timedelta(hours=2)
END = START + timedelta(hours=10)
LEASE, NODE = "lea_1", "nod_1"


def row(table, /, **values):
    """A row with every column that was not given empty."""
    kinds = {UTCDateTime: START, Amount: Decimal(1), Boolean: False, Integer: 0, String: "", JSON: {}}
    columns = table.__table__.columns
    empty = {c.name: next(value for kind, value in kinds.items() if isinstance(c.type, kind)) for c in columns}
    filled = {c.name: None if c.nullable else empty[c.name] for c in columns}
    return insert(table).values(filled | values)


def lease(identifier=LEASE, **values):
    facts = {
        "id": identifier,
        "order_id": f"ord_{identifier}",
        "tag": f"tag-{identifier}",
        "provider": "here",
        "organisation_id": "org_1",
        "project_id": "prj_1",
        "accelerators_per_node": 8,
        "nodes": 1,
        "currency": "USD",
        "starts_at": START,
        "ends_at": END,
        "state": "active",
        "active_at": START,
        "next_at": NOW,
    }
    return row(LeaseRow, **facts | values)


def order(identifier="ord_lea_1", **values):
    owner = {"organisation_id": "org_1", "project_id": "prj_1", "quote_id": "quo_1"}
    facts = {"id": identifier, "state": "accepted", "lease_id": LEASE, "nodes": 1, "seconds": 36000}
    return row(OrderRow, **owner | facts | {"idempotency_key": identifier} | values)


def slot(identifier=LEASE, node=NODE, **values):
    times = {"serving_since": START, "metered_until": START + timedelta(hours=1)}
    facts = {"lease_id": identifier, "number": 1, "generation": 1, "node_id": node, "current": True, "ref": f"r-{node}"}
    return row(SlotRow, **facts | times | {"state": "serving", "key": f"{identifier}/1/1"} | values)


def booking(identifier=LEASE, node=NODE, **values):
    facts = {"id": f"bkg_{identifier}{node}", "node_id": node, "holder": identifier, "kind": "lease"}
    return row(BookingRow, **facts | {"starts_at": START, "ends_at": END} | values)


def usage(number, start_h, end_h, **values):
    times = {"starts_at": START + timedelta(hours=start_h), "ends_at": START + timedelta(hours=end_h)}
    facts = {
        "id": f"use_{number}",
        "lease_id": LEASE,
        "number": number,
        "node_id": NODE,
        "billable": True,
        "kind": "service",
    }
    return row(UsageRow, **facts | times | values)


@pytest.fixture
def sound(database):
    """One active lease on one node, as it should be."""
    return made_sound(database)


@pytest.fixture
def sound_file(sqlite_database):
    """The same, on SQLite only: what is found does not depend on where it is looked for."""
    return made_sound(sqlite_database)


def made_sound(database):
    with database.transaction() as session:
        for node in (NODE, "nod_2"):
            session.execute(row(CalendarNode, node_id=node, closes_at=END))
        session.execute(row(OrganisationRow, id="org_1"))
        session.execute(
            row(ProjectRow, id="prj_1", organisation_id="org_1", budget=Decimal(100), budget_currency="USD")
        )
        session.execute(row(QuoteRow, id="quo_1", nodes=1, count=1, organisation_id="org_1", project_id="prj_1"))
        for statement in (order(), lease(), slot(), booking(), usage(1, 0, 0.5), usage(2, 0.5, 1)):
            session.execute(statement)
        for number, (before, after) in enumerate(pairwise(("scheduled", "provisioning", "qualifying", "active"))):
            session.execute(
                row(
                    EventRow,
                    number=number,
                    id=f"evt_{after}",
                    lease_id=LEASE,
                    kind="state",
                    state=after,
                    details={"from": before},
                )
            )
        for target in ("a", "b", "c"):
            audit.record(session, actor=SYSTEM, action="x", target=target, outcome="done", now=NOW)
    return database


def unguard(session, table):
    """Take the database's own rules off a table, as a bad disk or a bad hand would."""
    query = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
    for name in session.scalars(query, {"table": table}).all():
        session.execute(text(f"DROP TRIGGER {name}"))


def findings(database, **options):
    return {check.name: [f.sentence for f in check.findings] for check in doctor.examine(database, now=NOW, **options)}


def test_a_sound_database_passes_every_check(sound):
    checks = doctor.examine(sound, now=NOW)
    assert [finding.sentence for check in checks for finding in check.findings] == []
    assert all(check.holds for check in checks)
    assert {check.name: check.looked_at for check in checks}["states"] == 1


BREAKS = {
    "booked twice": ("one-lease", "and by lea_", [booking("lea_9", id="bkg_9")], ["bookings"]),
    "in two leases": (
        "one-lease",
        "is in 2 leases at once: lea_1, lea_2",
        [lease("lea_2"), slot("lea_2")],
        [],
    ),
    "half a gang": ("gangs", "is for 4 nodes and has 1", [update(LeaseRow).values(nodes=4)], []),
    "no booking": ("gangs", "has node nod_1 and no booking", [delete(BookingRow)], ["bookings"]),
    "a booking too many": ("gangs", "books node nod_2 and has no place", [booking(node="nod_2")], []),
    "a booking too short": ("gangs", "its booking of nod_1 at", [update(BookingRow).values(ends_at=NOW)], []),
    "no such state": ("states", "which is no state", [update(LeaseRow).values(state="asleep")], []),
    "an illegal move": (
        "states",
        "went from scheduled to qualifying, which is no legal move",
        [delete(EventRow).where(EventRow.state == "provisioning")],
        [],
    ),
    "another state than its history": (
        "states",
        "its history ends with active",
        [update(LeaseRow).values(state="ending")],
        [],
    ),
    "forgotten": ("states", "nobody will look at it again", [update(LeaseRow).values(next_at=None)], []),
    "stalled": ("states", "no engine looked at it", [update(LeaseRow).values(next_at=START)], []),
    "open intent of a final lease": (
        "states",
        "its intent end/r is open",
        [
            update(LeaseRow).values(state="settled", next_at=None),
            row(IntentRow, key="end/r", lease_id=LEASE, kind="terminate"),
        ],
        [],
    ),
    "a hole in usage": (
        "usage",
        "nothing is metered",
        [delete(UsageRow).where(UsageRow.number == 1)],
        ["usage_records"],
    ),
    "metered twice": ("usage", "is metered twice", [usage(3, 0.25, 0.75)], ["usage_records"]),
    "metered outside of service": ("usage", "did not serve then", [usage(3, 1, 1.5)], []),
    "billed before it was active": ("usage", "never became active", [update(LeaseRow).values(active_at=None)], []),
    "settled and not charged": (
        "charges",
        "is settled and 2 of its usage records are not charged",
        [update(LeaseRow).values(state="settled", next_at=None)],
        [],
    ),
    "charged for what was not used": (
        "charges",
        "sum to 0 USD, the total says 5",
        [row(AccrualRow, lease_id=LEASE, side="price", currency="USD", usage=Decimal(5), organisation_id="org_1")],
        [],
    ),
    "over budget": (
        "budgets",
        "and 80 USD committed, which is 30 USD too much",
        [update(ProjectRow).values(budget=Decimal(50))],
        [],
    ),
    "a lost order": ("orders", "its lease lea_7 is not there", [order("ord_7", lease_id="lea_7")], []),
    "a lost place in the line": (
        "orders",
        "is not in the line",
        [order("ord_7", state="waitlisted", lease_id=None)],
        [],
    ),
    "a lease without an order": (
        "orders",
        "came from order ord_9, which is not there",
        [update(LeaseRow).values(order_id="ord_9")],
        [],
    ),
    "money from nowhere": (
        "ledger",
        "sums to 5 USD",
        [
            row(EntryRow, transaction_id="txn_1", number=1, account="revenue", amount=Decimal(5), currency="USD"),
            row(TransactionRow, id="txn_1"),
        ],
        ["ledger_entries", "ledger_transactions"],
    ),
    "a changed audit line": (
        "audit",
        "entry 2",
        [update(AuditRow).where(AuditRow.number == 2).values(target="z")],
        ["audit_log"],
    ),
    "a removed audit line": (
        "audit",
        "entry 2 is missing",
        [delete(AuditRow).where(AuditRow.number == 2)],
        ["audit_log"],
    ),
    "a price of zero": ("prices", "has the price 0", [update(LeaseRow).values(price=Decimal(0))], []),
    "supply for nothing": (
        "prices",
        "costs 0",
        [row(ContractRow, id="ctr_1", price_per_node_hour=Decimal(0), ends_at=END)],
        [],
    ),
    "an orphan": ("orphans", "belongs to no lease: why", [row(OrphanRow, provider="p", ref="r", why="why")], []),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_a_law_is_found(sound_file, name):
    check, words, statements, unguarded = BREAKS[name]
    with sound_file.transaction() as session:
        for table in unguarded:
            unguard(session, table)
        for statement in statements:
            session.execute(statement)
    found = findings(sound_file)
    assert any(words in sentence for sentence in found[check]), found


class Here:
    """A provider that shows what it is told to."""

    def __init__(self, nodes, *, proves=True, down=False):
        self.nodes, self.proves, self.down = nodes, proves, down

    def inventory(self):
        if self.down:
            raise ProviderUnavailable("no route")
        return Found(tuple(NodeRef(ref, "", tag) for ref, tag in self.nodes.items()), complete=self.proves)

    def describe(self, ref):
        if ref not in self.nodes:
            raise UnknownRef(f"no node {ref}")
        return NodeFacts(ref, "running")

    def capabilities(self):
        return Capabilities(proves_absence=self.proves)


OURS = {"r-nod_1": "tag-lea_1"}


def test_what_cannot_be_checked_is_unknown_and_no_pass(sound):
    with sound.transaction() as session:
        session.execute(update(EventRow).values(details={"from": "x"}, state="asleep"))
    states = next(check for check in doctor.examine(sound, now=NOW) if check.name == "states")
    assert not states.holds
    assert [finding.unknown for finding in states.findings] == [True]


@pytest.mark.parametrize(
    ("provider", "sentences"),
    [
        (Here(OURS), []),
        (Here(OURS | {"r-9": "tag-lea_9"}), ["node r-9 at here carries the tag tag-lea_9 of no lease of this broker"]),
        (Here({}), ["lease lea_1 serves node r-nod_1, which here does not have"]),
        (Here({}, proves=False), ["lease lea_1 serves node r-nod_1, and here does not say what became of it"]),
        (Here({}, down=True), ["here could not be looked at: no route"]),
    ],
)
def test_nodes_at_providers_are_compared_with_the_leases(sound, provider, sentences):
    assert findings(sound, providers={"here": provider})["nodes"] == sentences
