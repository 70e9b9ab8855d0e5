"""Is what must always hold true of this database, now? The checks behind `sublet doctor`.

Each check states a law of the design and yields a finding, in a sentence, for each thing that breaks it. Where a room
has a check of its own it is called; the leases' tables are read straight, so that no fault of the engine hides itself.
Nothing is changed. Invariant: what could not be looked at is a finding too, marked unknown, never a pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sublet.broker.audit import log as audit
from sublet.broker.audit.tables import AuditRow
from sublet.broker.billing import budgets, charges, ledger, reports
from sublet.broker.billing.tables import AccrualRow, TransactionRow
from sublet.broker.bookings import service as bookings
from sublet.broker.leases import caps, states, store
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.tables import EventRow, IntentRow, LeaseRow, OrphanRow, SlotRow
from sublet.broker.leases.values import SlotState
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import Interval
from sublet.broker.orders.tables import OrderRow, WaitlistRow
from sublet.broker.orders.values import OrderState
from sublet.broker.supply.tables import ContractRow
from sublet.broker.tenants.tables import CapRow, ProjectRow
from sublet.broker.tenants.values import SYSTEM
from sublet.errors import SubletError
from sublet.providers.protocol import Provider, ProviderUnavailable, UnknownRef
from sublet.storage.engine import Database

STALLED = timedelta(minutes=10)  # a lease that was due this long ago and that no engine looked at
_HELD = frozenset(State) - FINAL - {State.TERMINATED}  # states in which a lease holds its nodes


@dataclass(frozen=True)
class Finding:
    """One thing that breaks a law; `unknown` where it could not be looked at."""

    check: str
    subject: str
    sentence: str
    unknown: bool = False


@dataclass(frozen=True)
class Check:
    """A law, how many things were looked at, and what breaks it."""

    name: str
    law: str
    looked_at: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found, and everything could be looked at."""
        return not self.findings


def examine(database: Database, *, providers: Mapping[str, Provider] | None = None, now: datetime) -> tuple[Check, ...]:
    """Every check, over one moment of the database; with `providers`, their nodes are compared with the leases too."""
    # Providers are asked first: a node's lease is written before the node is made, so the database knows it by then.
    shown = {name: _inventory(provider) for name, provider in (providers or {}).items()}
    with database.reading() as session:
        checks = [_run(session, name, law, count, check, now) for name, law, count, check in _CHECKS]
        if providers is not None:
            findings = tuple(_strangers(session, providers, shown))
            looked_at = sum(len(nodes) for nodes, _ in shown.values() if nodes is not None)
            checks.append(Check("nodes", _NODES, looked_at, findings))
    return tuple(checks)


def _run(session: Session, name: str, law: str, count: Any, check: _Look, now: datetime) -> Check:
    looked_at = int(session.scalar(select(func.count()).select_from(count)) or 0)
    found: list[Finding] = []
    try:
        found.extend(Finding(name, subject, sentence) for subject, sentence in check(session, now))
    except (SubletError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # data that no room would write
        found.append(Finding(name, name, f"this could not be checked to its end: {error!r}", unknown=True))
    return Check(name, law, looked_at, tuple(found))


_Said = Iterator[tuple[str, str]]
_Look = Callable[[Session, datetime], _Said]


def _one_lease_per_node(session: Session, now: datetime) -> _Said:
    for first, second in bookings.double_bookings(session):
        yield (
            first.node_id,
            f"node {first.node_id} is booked by {first.holder} until {first.ends_at.isoformat()} and by"
            f" {second.holder} from {second.starts_at.isoformat()}",
        )
    holders: dict[str, list[str]] = defaultdict(list)
    query = select(SlotRow.node_id, SlotRow.lease_id).join(LeaseRow, LeaseRow.id == SlotRow.lease_id)
    in_service = (SlotState.FOUND.value, SlotState.PASSED.value, SlotState.SERVING.value, SlotState.STOPPED.value)
    for row in session.execute(query.where(SlotRow.current, SlotRow.state.in_(in_service))):
        holders[row.node_id].append(row.lease_id)
    for node, leases in sorted(holders.items()):
        if len(leases) > 1:
            yield node, f"node {node} is in {len(leases)} leases at once: {', '.join(sorted(leases))}"


def _whole_gangs(session: Session, now: datetime) -> _Said:
    slots: dict[str, list[str]] = defaultdict(list)
    for row in session.execute(select(SlotRow.lease_id, SlotRow.node_id).where(SlotRow.current)):
        slots[row.lease_id].append(row.node_id)
    for lease in session.scalars(select(LeaseRow).where(LeaseRow.state.in_([state.value for state in _HELD]))):
        nodes = slots[lease.id]
        if len(nodes) != lease.nodes:
            yield lease.id, f"lease {lease.id} is for {lease.nodes} nodes and has {len(nodes)}"
        for node, times in sorted(Counter(nodes).items()):
            if times > 1:
                yield lease.id, f"lease {lease.id} has node {node} in {times} places"
        booked = {b.node_id: b for b in bookings.of_holder(session, holder=lease.id) if b.released_at is None}
        for node in sorted(set(nodes) - booked.keys()):
            yield lease.id, f"lease {lease.id} has node {node} and no booking of it"
        for node in sorted(booked.keys() - set(nodes)):
            yield lease.id, f"lease {lease.id} books node {node} and has no place for it"
        for node, booking in sorted(booked.items()):
            if booking.ends_at != lease.ends_at:
                yield (
                    lease.id,
                    f"lease {lease.id} ends at {lease.ends_at.isoformat()} and its booking of {node} at"
                    f" {booking.ends_at.isoformat()}",
                )


def _lawful_states(session: Session, now: datetime) -> _Said:
    known = {state.value for state in State}
    lives: dict[str, list[str]] = defaultdict(list)
    moves = select(EventRow.lease_id, EventRow.state, EventRow.details).where(EventRow.kind.in_(["state", "notice"]))
    for row in session.execute(moves.order_by(EventRow.number)):
        if "from" in row.details:
            lives[row.lease_id].append(row.state)
    for lease in session.scalars(select(LeaseRow).order_by(LeaseRow.id)):
        if lease.state not in known:
            yield lease.id, f"lease {lease.id} is {lease.state!r}, which is no state"
            continue
        for before, after in pairwise([State.SCHEDULED.value, *lives[lease.id]]):
            if not states.legal(State(before), State(after)):
                yield lease.id, f"lease {lease.id} went from {before} to {after}, which is no legal move"
        if lives[lease.id] and lives[lease.id][-1] != lease.state:
            yield lease.id, f"lease {lease.id} is {lease.state} and its history ends with {lives[lease.id][-1]}"
        if (lease.state in FINAL) != (lease.next_at is None):
            words = "is final and still due" if lease.state in FINAL else "is open and nobody will look at it again"
            yield lease.id, f"lease {lease.id} ({lease.state}) {words}"
        elif lease.next_at is not None and lease.next_at < now - STALLED:
            yield lease.id, f"lease {lease.id} was due at {lease.next_at.isoformat()} and no engine looked at it"
    closed = select(LeaseRow.id).where(LeaseRow.state.in_([state.value for state in FINAL]))
    for row in session.execute(
        select(IntentRow.lease_id, IntentRow.key).where(IntentRow.done_at.is_(None), IntentRow.lease_id.in_(closed))
    ):
        yield row.lease_id, f"lease {row.lease_id} is final and its intent {row.key} is open"


def _billed_once(session: Session, now: datetime) -> _Said:
    service: dict[str, list[Interval]] = defaultdict(list)
    query = select(SlotRow.lease_id, SlotRow.node_id, SlotRow.serving_since, SlotRow.metered_until)
    for row in session.execute(query.where(SlotRow.serving_since.is_not(None), SlotRow.metered_until.is_not(None))):
        if row.serving_since < row.metered_until:
            service[row.lease_id].append(Interval(row.node_id, row.serving_since, row.metered_until))
    for lease_id in session.scalars(select(LeaseRow.id).order_by(LeaseRow.id)):
        # What is not billable may lie outside of service: checks before it, repair after it.
        free = [record for record in metering.records(session, lease_id) if not record.billable]
        for finding in metering.check(session, lease_id, [*service[lease_id], *free]):
            yield lease_id, finding.sentence
    for lease in session.scalars(select(LeaseRow).where(LeaseRow.active_at.is_(None))):
        if any(record.billable for record in metering.records(session, lease.id)):
            yield lease.id, f"lease {lease.id} never became active and has billable usage"


def _ledger(session: Session, now: datetime) -> _Said:
    for fault in ledger.verify(session):
        yield fault.transaction or "ledger", fault.sentence


def _charged_once(session: Session, now: datetime) -> _Said:
    for fault in reports.verify(session):
        if fault.lease:  # the ledger's own faults have a check of their own
            yield fault.lease, fault.sentence
    last = select(AccrualRow.lease_id, func.max(AccrualRow.last)).where(AccrualRow.side == "price")
    charged = {row[0]: row[1] for row in session.execute(last.group_by(AccrualRow.lease_id))}
    for lease_id in session.scalars(select(LeaseRow.id).where(LeaseRow.state == State.SETTLED.value)):
        records = metering.records(session, lease_id, after=charged.get(lease_id, 0))
        if records:
            yield lease_id, f"lease {lease_id} is settled and {len(records)} of its usage records are not charged"


def _budgets(session: Session, now: datetime) -> _Said:
    open_leases: dict[str, list[budgets.Commitment]] = defaultdict(list)
    rows = session.execute(select(*LeaseRow.__table__.c).where(LeaseRow.state.in_([state.value for state in _HELD])))
    for lease in store.leases_of(session, rows.all()):
        open_leases[lease.project].append(budgets.Commitment(lease.id, charges.remaining(session, lease)))
    for project in session.scalars(select(ProjectRow.id).where(ProjectRow.budget.is_not(None)).order_by(ProjectRow.id)):
        stand = budgets.status(session, project, committed=open_leases[project], actor=SYSTEM)
        if stand.left is not None and stand.left.amount < 0:
            spent, waiting = (", ".join(map(str, amounts)) or "nothing" for amounts in (stand.spent, stand.committed))
            yield (
                project,
                f"project {project} has a budget of {stand.budget}: {spent} are spent and {waiting} committed, which is"
                f" {-stand.left} too much",
            )


def _caps(session: Session, now: datetime) -> _Said:
    for limit, level in caps.overruns(session, now=now):
        yield (
            limit.project or limit.organisations[0],
            f"{limit.name} may hold {_figure(limit.nodes)} nodes and {_figure(limit.accelerators)} accelerators, and"
            f" holds {level.nodes} and {level.accelerators} from {level.start.isoformat()} on",
        )


def _figure(most: int | None) -> str:
    return "any number of" if most is None else str(most)


def _orders(session: Session, now: datetime) -> _Said:
    leases = {row.order_id: row.id for row in session.execute(select(LeaseRow.order_id, LeaseRow.id))}
    waiting = set(session.scalars(select(WaitlistRow.order_id).where(WaitlistRow.left_at.is_(None))))
    orders = {row.id: row for row in session.execute(select(OrderRow.id, OrderRow.state, OrderRow.lease_id))}
    for order in orders.values():
        if order.state == OrderState.ACCEPTED and leases.get(order.id) != order.lease_id:
            yield order.id, f"order {order.id} is accepted and its lease {order.lease_id} is not there"
        if (order.state == OrderState.WAITLISTED) != (order.id in waiting):
            words = "is not in the line" if order.id not in waiting else "stands in the line"
            yield order.id, f"order {order.id} is {order.state} and {words}"
    for order_id, lease_id in leases.items():
        if order_id not in orders:
            yield lease_id, f"lease {lease_id} came from order {order_id}, which is not there"
        elif orders[order_id].lease_id != lease_id:
            yield lease_id, f"lease {lease_id} came from order {order_id}, which names {orders[order_id].lease_id}"


def _audit(session: Session, now: datetime) -> _Said:
    chain = audit.verify(session)
    if chain.broken_at is not None:
        yield str(chain.broken_at), chain.sentence


def _prices(session: Session, now: datetime) -> _Said:
    for lease in session.execute(select(LeaseRow.id, LeaseRow.price, LeaseRow.currency)):
        if lease.price <= 0:
            yield lease.id, f"lease {lease.id} has the price {lease.price} {lease.currency}"
    for contract in session.execute(select(ContractRow.id, ContractRow.price_per_node_hour, ContractRow.currency)):
        if contract.price_per_node_hour <= 0:
            yield contract.id, f"contract {contract.id} costs {contract.price_per_node_hour} {contract.currency}"


def _orphans(session: Session, now: datetime) -> _Said:
    for row in session.scalars(select(OrphanRow).where(OrphanRow.gone_at.is_(None))):
        yield row.ref, f"node {row.ref} at {row.provider} (tag {row.tag or 'none'}) belongs to no lease: {row.why}"


_NODES = "a provider has the nodes that leases want, and no other"
_CHECKS: tuple[tuple[str, str, Any, _Look], ...] = (
    ("one-lease", "no node is in two leases at one second", SlotRow, _one_lease_per_node),
    ("gangs", "a gang is placed whole, and booked to its end", LeaseRow, _whole_gangs),
    (
        "states",
        "every lease is in a lawful state, came there by legal moves, and is looked at",
        LeaseRow,
        _lawful_states,
    ),
    ("usage", "every second of service is metered exactly once, and none before it", LeaseRow, _billed_once),
    ("charges", "every usage record is charged exactly once, and the ledger says the same", AccrualRow, _charged_once),
    ("budgets", "no project has committed more than its budget", ProjectRow, _budgets),
    ("caps", "no tenant is over its cap at any instant, future bookings included", CapRow, _caps),
    ("orders", "an accepted order has its lease, and a waiting one its place in the line", OrderRow, _orders),
    ("ledger", "every transaction sums to zero in each currency", TransactionRow, _ledger),
    ("audit", "the audit chain is unbroken", AuditRow, _audit),
    ("prices", "zero is never a price", LeaseRow, _prices),
    ("orphans", "no node of ours runs without a lease", OrphanRow, _orphans),
)

_Shown = tuple[dict[str, str] | None, str]  # ref -> tag; None where there was no answer, and why


def _inventory(provider: Provider) -> _Shown:
    try:
        found = provider.inventory()
    except ProviderUnavailable as error:
        return None, str(error)
    return {node.ref: node.tag for node in found.nodes}, ""


def _strangers(session: Session, providers: Mapping[str, Provider], shown: Mapping[str, _Shown]) -> Iterator[Finding]:
    """Nodes without a lease, and leases without their nodes."""
    leases = {lease.tag: lease for lease in session.scalars(select(LeaseRow))}
    wanted: dict[str, dict[str, str]] = defaultdict(dict)  # provider -> ref -> lease
    serving = select(LeaseRow.provider, SlotRow.ref, SlotRow.lease_id).join(LeaseRow, LeaseRow.id == SlotRow.lease_id)
    for row in session.execute(serving.where(SlotRow.current, SlotRow.state == SlotState.SERVING.value)):
        wanted[row.provider][row.ref] = row.lease_id
    for name, (nodes, why) in sorted(shown.items()):
        if nodes is None:
            yield Finding("nodes", name, f"{name} could not be looked at: {why}", unknown=True)
            continue
        for ref, tag in sorted(nodes.items()):
            lease = leases.get(tag)
            if (lease is None or lease.state not in _HELD) and _described(providers[name], ref) != "gone":
                state = "no lease of this broker" if lease is None else f"lease {lease.id}, which is {lease.state}"
                yield Finding("nodes", ref, f"node {ref} at {name} carries the tag {tag or 'none'} of {state}")
        for ref, lease_id in sorted(wanted[name].items()):
            said = "" if ref in nodes else _described(providers[name], ref)
            if said == "gone":
                yield Finding("nodes", lease_id, f"lease {lease_id} serves node {ref}, which {name} does not have")
            elif said == "unknown":
                sentence = f"lease {lease_id} serves node {ref}, and {name} does not say what became of it"
                yield Finding("nodes", lease_id, sentence, unknown=True)


def _described(provider: Provider, ref: str) -> str:
    """What the provider says of one node now: it may have gone since the list was made."""
    try:
        return provider.describe(ref).state
    except UnknownRef:
        return "gone" if provider.capabilities().proves_absence else "unknown"
    except ProviderUnavailable:
        return "unknown"
