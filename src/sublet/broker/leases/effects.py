"""Do what was decided about a lease: each action as one or two short transactions, with the provider called in between.

Invariant: before a provider is asked to make or to take back anything, that is written down; after it answered, that is
written down too. Killed in between, the next engine finds the intent, looks by tag, and goes on from there.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from sublet.broker.leases import books, history, store
from sublet.broker.leases.actions import (
    Adopt,
    Alert,
    Ask,
    Forget,
    Meter,
    Move,
    Note,
    Qualify,
    Replace,
    Resume,
    Serve,
    Spoil,
    TakeBack,
)
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.tables import IntentRow, SlotRow
from sublet.broker.leases.values import LeaseFacts, Slot, SlotState
from sublet.broker.supply.values import Node
from sublet.providers.protocol import CreateRequest, Declined, NodeFacts, Provider, ProviderUnavailable
from sublet.storage.engine import Database


@dataclass(frozen=True)
class Judgement:
    """What the gate says of one node: whether it may serve, why not, and the certificate that says so."""

    passed: bool | None  # None: it could not tell
    reason: str
    certificate: Mapping[str, Any]


class Gate(Protocol):
    """Checks one node before it is billed. Raises ProviderUnavailable where it could not look."""

    def __call__(
        self, provider: Provider, facts: NodeFacts, sold: Node, *, lease_id: str, now: dt.datetime
    ) -> Judgement: ...


@dataclass(frozen=True)
class Desk:
    """What is needed to do anything."""

    database: Database
    now: Callable[[], dt.datetime]
    policy: Policy
    gate: Gate
    settle: Callable[[Session, str, dt.datetime], None]


CALLS = (Ask, TakeBack, Qualify)
"""Actions that call the provider: what was seen before them is out of date afterwards."""


def do(desk: Desk, provider: Provider | None, lease: LeaseFacts, action: Any) -> None:
    """Carry out one action (not Wait or Look). Overtaken where somebody else changed the lease meanwhile."""
    if isinstance(action, CALLS) and provider is None:
        raise TypeError(f"{action!r} needs a provider")
    match action:
        case Ask() if provider:
            for key, numbers in _by_key(lease, action.slots).items():
                _ask(desk, provider, lease, key, numbers, action.reason)
                return  # one request at a time: the rest follows from what is stored then
        case TakeBack() if provider:
            _take_back(desk, provider, lease, action.refs)
        case Qualify() if provider:
            _qualify(desk, provider, lease, action.slots)
        case _:
            desk.database.run(
                lambda session: store_action(session, lease, action, desk.now(), desk.policy, desk.settle)
            )


def store_action(
    session: Session,
    lease: LeaseFacts,
    action: Any,
    now: dt.datetime,
    policy: Policy,
    settle: Callable[[Session, str, dt.datetime], None],
) -> None:
    """Those actions that call no provider, in the caller's transaction."""
    match action:
        case Move():
            _move(session, lease, action, now, policy, settle)
        case Adopt():
            _adopt(session, lease, action, now)
        case Serve():
            _serve(session, lease, action.slots, now)
        case Meter():
            _meter(session, lease, action, now, policy)
        case Resume():
            _resume(session, lease, action.slots, now)
        case Spoil():
            store.changed(session, lease)
            _spoil(session, lease, action.slots, now, policy)
        case Replace():
            _replace(session, lease, action.slots, now, policy)
        case Forget():
            _forget(session, lease, action.refs, now)
        case Note():
            store.changed(session, lease, **action.values)
        case Alert():
            store.changed(session, lease, alerted_at=now)
            history.event(session, lease.id, "alert", action.reason, now)
        case _:
            raise TypeError(f"nothing is known of how to do {action!r}")


# --- states --------------------------------------------------------------------------------------------------------


def _move(
    session: Session,
    lease: LeaseFacts,
    action: Move,
    now: dt.datetime,
    policy: Policy,
    settle: Callable[[Session, str, dt.datetime], None],
) -> None:
    values: dict[str, Any] = {}
    if action.outcome is not None:
        values["outcome"] = action.outcome.value
    if action.at_once:
        values["end_requested_at"] = now
    if action.by:
        values["ended_by"] = action.by
    if action.to is State.ENDING:
        values["quiet_since"] = None
    if action.to is State.TERMINATED:
        values["ended_at"] = ended_at = min(lease.ends_at, lease.end_requested_at or lease.ends_at, now)
        _lost_time(session, lease, [slot.number for slot in lease.slots], ended_at, now)
        _close_service(session, lease, [slot for slot in lease.slots if slot.state is not SlotState.OVER], now)
    history.move(session, lease, action.to, action.reason, now, **values)
    if action.to is State.PROVISIONING and lease.state is State.SCHEDULED:
        _leave_out(session, lease, now, policy)
    if action.to is State.TERMINATED or (action.to in FINAL and lease.state is State.SCHEDULED):
        books.give_back(session, lease.id, now=now)
        _close_intents(session, lease.id, now)
    if action.to in FINAL:
        settle(session, lease.id, now)


def _leave_out(session: Session, lease: LeaseFacts, now: dt.datetime, policy: Policy) -> None:
    """Booked nodes that failed or went back before the start are not even asked for."""
    for slot in lease.slots:
        node = books.node_of(session, slot.node_id)
        if node.state in books.USELESS:
            _spoil(session, lease, {slot.number: f"it is {node.state}: {node.reason}"}, now, policy)


def _close_service(session: Session, lease: LeaseFacts, slots: Iterable[Slot], now: dt.datetime) -> None:
    """The part of these nodes is over; service that nobody could see to its end is written down as not billable."""
    end = min(lease.ends_at, lease.end_requested_at or lease.ends_at, now)
    reader = store.lease_of(session, lease.id)
    for slot in slots:
        if slot.state in (SlotState.SERVING, SlotState.STOPPED) and slot.metered_until is not None:
            kind, why = _FREE[slot.state]
            books.meter(session, reader, slot.node_id, slot.metered_until, end, kind=kind, reason=why, now=now)
            until = max(end, slot.metered_until)
            store.set_slots(session, lease.id, [slot.number], metered_until=until, served_until=until)
    store.set_slots(session, lease.id, [slot.number for slot in slots], state=SlotState.OVER.value)


_FREE = {
    SlotState.STOPPED: ("stopped", "the guest had shut the node down"),
    SlotState.SERVING: ("lost", "the node was not seen"),
}
"""Why time of a node in such a state is not billed when its part ends: kind and reason of the usage record."""


def _lost_time(
    session: Session, lease: LeaseFacts, numbers: Iterable[int], until: dt.datetime, now: dt.datetime
) -> None:
    """From the death of a slot's node until `until` (another serves, or the lease ended) its time was lost."""
    served: dict[int, Any] = {}
    query = select(*SlotRow.__table__.c).where(SlotRow.lease_id == lease.id, SlotRow.serving_since.is_not(None))
    for row in session.execute(query.order_by(SlotRow.generation)):
        served[row.number] = row
    reader = store.lease_of(session, lease.id) if served else None
    for number in set(numbers) & set(served):
        row = served[number]
        if reader is None or row.state != SlotState.BAD.value or row.metered_until >= until:
            continue
        reason = row.reason or "the node died"
        books.meter(session, reader, row.node_id, row.metered_until, until, kind="lost", reason=reason, now=now)
        session.execute(
            update(SlotRow)
            .where(SlotRow.lease_id == lease.id, SlotRow.number == number, SlotRow.generation == row.generation)
            .values(metered_until=until)
            .execution_options(synchronize_session=False)
        )


def _close_intents(session: Session, lease_id: str, now: dt.datetime) -> None:
    session.execute(
        update(IntentRow)
        .where(IntentRow.lease_id == lease_id, IntentRow.done_at.is_(None))
        .values(done_at=now)
        .execution_options(synchronize_session=False)
    )


# --- create --------------------------------------------------------------------------------------------------------


def _by_key(lease: LeaseFacts, numbers: Iterable[int]) -> dict[str, list[int]]:
    slots = store.by_slot(lease)
    keys: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        keys[slots[number].key].append(number)
    return keys


def _ask(desk: Desk, provider: Provider, lease: LeaseFacts, key: str, numbers: list[int], reason: str) -> None:
    request, version = desk.database.run(lambda session: _intend(session, lease, key, numbers, reason, desk.now()))
    asked = {slot.node_id: slot.number for slot in lease.slots if slot.key == key and slot.node_id in request.nodes}
    try:
        created = provider.create(request)
    except ProviderUnavailable as error:
        words = str(error)
        desk.database.run(lambda session: _no_answer(session, key, words))
        return
    except Declined as error:
        words = str(error)
        desk.database.run(lambda session: _declined(session, lease, key, version, numbers, words, desk))
        return
    refs = {asked[node.node]: node.ref for node in created.nodes if node.node in asked}
    if not any(node.node for node in created.nodes):  # it cannot say which is which: they are alike
        refs = dict(zip(sorted(asked.values()), created.refs, strict=False))
    complete = len(refs) == len(request.nodes)
    desk.database.run(lambda session: _created(session, lease, key, version, refs, complete, desk.now()))


def _intend(
    session: Session, lease: LeaseFacts, key: str, numbers: list[int], reason: str, now: dt.datetime
) -> tuple[CreateRequest, int]:
    """Write the intent (or that it is asked again) and return the request, equal each time."""
    version = store.changed(session, lease)
    reader = store.lease_of(session, lease.id)
    intent = session.execute(select(*IntentRow.__table__.c).where(IntentRow.key == key)).first()
    if intent is None:
        nodes = [slot.node_id for slot in lease.slots if slot.key == key and slot.number in numbers]
        session.execute(
            insert(IntentRow).values(
                key=key,
                lease_id=lease.id,
                kind="create",
                ref="",
                nodes=nodes,
                until=lease.ends_at,
                written_at=now,
                asked_at=now,
                answered_at=None,
                done_at=None,
                answer="",
            )
        )
    else:
        nodes = list(intent.nodes)
        session.execute(
            update(IntentRow)
            .where(IntentRow.key == key)
            .values(asked_at=now)
            .execution_options(synchronize_session=False)
        )
        history.event(session, lease.id, "node", reason, now, details={"key": key})
    store.set_slots(session, lease.id, numbers, state=SlotState.ASKED.value)
    request = CreateRequest(
        idempotency_key=key,
        tag=lease.tag,
        shape=reader.shape,
        nodes=tuple(nodes),
        until=lease.ends_at,
        price_limit=books.price_limit(session, nodes),
    )
    return request, version


def _answer(session: Session, key: str, **values: Any) -> None:
    session.execute(
        update(IntentRow).where(IntentRow.key == key).values(**values).execution_options(synchronize_session=False)
    )


def _no_answer(session: Session, key: str, words: str) -> None:
    _answer(session, key, answer=f"no answer: {words}")


def _declined(
    session: Session, lease: LeaseFacts, key: str, version: int, numbers: list[int], words: str, desk: Desk
) -> None:
    """The provider's word that nothing was made: the slots look for other nodes, or for the same ones later."""
    now = desk.now()
    _answer(session, key, answered_at=now, done_at=now, answer=words)
    facts = store.facts_of(session, [lease.id])[lease.id]
    if facts.version != version:
        raise store.Overtaken(f"lease {lease.id} was changed while the provider was asked")
    store.changed(session, facts)
    _spoil(session, facts, dict.fromkeys(numbers, words), now, desk.policy)


def _created(
    session: Session,
    lease: LeaseFacts,
    key: str,
    version: int,
    refs: Mapping[int, str],
    complete: bool,
    now: dt.datetime,
) -> None:
    """The provider's word: these are made. What is missing is looked for by tag before anything else is asked for."""
    _answer(session, key, answered_at=now, done_at=now if complete else None, answer=f"made {', '.join(refs.values())}")
    facts = store.facts_of(session, [lease.id])[lease.id]
    if facts.version != version:
        raise store.Overtaken(f"lease {lease.id} was changed while the provider was asked")
    store.changed(session, facts)
    slots = store.by_slot(facts)
    known = {slot.ref for slot in facts.slots if slot.ref} | {lost.ref for lost in facts.lost}
    for number, ref in refs.items():
        if slots[number].state is SlotState.ASKED and slots[number].key == key and ref not in known:
            store.set_slots(session, lease.id, [number], ref=ref, state=SlotState.FOUND.value)


def _adopt(session: Session, lease: LeaseFacts, action: Adopt, now: dt.datetime) -> None:
    store.changed(session, lease)
    slots = store.by_slot(lease)
    for number, (ref, address) in action.refs.items():
        store.set_slots(session, lease.id, [number], ref=ref, address=address, state=SlotState.FOUND.value)
    adopted = {slots[number].key for number in action.refs}
    for key in adopted:
        if not any(s.key == key and s.state is SlotState.ASKED and s.number not in action.refs for s in lease.slots):
            _answer(session, key, done_at=now, answer="found by tag")
    for ref in action.extra:
        history.event(session, lease.id, "node", f"node {ref} was made twice: it is taken back", now)
        _intend_end(session, lease.id, ref, now, asked=False)


# --- the gate and service ------------------------------------------------------------------------------------------


def _qualify(desk: Desk, provider: Provider, lease: LeaseFacts, numbers: tuple[int, ...]) -> None:
    slots = store.by_slot(lease)
    with desk.database.reading() as session:
        sold = {number: books.node_of(session, slots[number].node_id) for number in numbers}
    verdicts: dict[int, tuple[Judgement, str]] = {}
    for number in numbers:
        try:
            facts = provider.describe(slots[number].ref)
            verdicts[number] = (
                desk.gate(provider, facts, sold[number], lease_id=lease.id, now=desk.now()),
                facts.address,
            )
        except ProviderUnavailable:
            break  # it is looked at again; what was judged is kept
        except Declined as error:
            verdicts[number] = Judgement(False, f"it could not be checked: {error}", {}), ""
    if verdicts:
        desk.database.run(lambda session: _judged(session, lease, verdicts, desk.now(), desk.policy))


def _judged(
    session: Session,
    lease: LeaseFacts,
    verdicts: Mapping[int, tuple[Judgement, str]],
    now: dt.datetime,
    policy: Policy,
) -> None:
    store.changed(session, lease)
    slots = store.by_slot(lease)
    bad = {}
    for number, (judgement, address) in verdicts.items():
        store.set_slots(session, lease.id, [number], certificate=dict(judgement.certificate), address=address)
        if judgement.passed:
            store.set_slots(session, lease.id, [number], state=SlotState.PASSED.value)
            books.proved(session, slots[number].node_id, now=now)
        elif judgement.passed is None and slots[number].checks + 1 < policy.checks:
            again = now + policy.poll * int(2 ** slots[number].checks)
            store.set_slots(session, lease.id, [number], checks=slots[number].checks + 1, search_at=again)
        else:
            bad[number] = judgement.reason
    if bad:
        _spoil(session, lease, bad, now, policy)


def _serve(session: Session, lease: LeaseFacts, numbers: tuple[int, ...], now: dt.datetime) -> None:
    """Billing of these nodes starts now; the time that dead ones lost before them is written down."""
    _lost_time(session, lease, numbers, now, now)
    values = {"state": SlotState.SERVING.value, "serving_since": now, "metered_until": now, "reason": ""}
    if lease.state is State.QUALIFYING:
        history.move(
            session,
            lease,
            State.ACTIVE,
            "every node passed: billing starts",
            now,
            active_at=now,
            seen_at=now,
            accrued_at=now,
        )
    else:
        store.changed(session, lease, stopped_at=None)
        history.event(session, lease.id, "node", "another node passed and serves: its billing starts", now)
    store.set_slots(session, lease.id, numbers, **values)


def _meter(session: Session, lease: LeaseFacts, action: Meter, now: dt.datetime, policy: Policy) -> None:
    store.touched(session, lease)
    reader = store.payer_of(session, lease.id)
    slots = store.by_slot(lease)
    for number in action.seen:
        _used(session, lease, reader, slots[number], action.until, now)
    for number, why in action.stopped.items():
        seen = _last_seen(lease, slots[number], action.until)
        _used(session, lease, reader, slots[number], seen, now)
        store.set_slots(session, lease.id, [number], state=SlotState.STOPPED.value, reason=why)
        history.event(session, lease.id, "node", f"node {slots[number].node_id}: {why}; it is not billed", now)
    for number in action.lost:
        seen = _last_seen(lease, slots[number], action.until)
        if slots[number].state is SlotState.SERVING:
            _used(session, lease, reader, slots[number], seen, now)
        elif slots[number].state is SlotState.STOPPED:
            seen = _shut_down(session, lease, reader, slots[number], action.until, now)
        store.set_slots(session, lease.id, [number], served_until=max(seen, slots[number].metered_until or seen))
    if action.lost:
        _spoil(session, lease, action.lost, now, policy)
    if reader.accrued_at is None or now - reader.accrued_at >= policy.accrue_every or now < reader.accrued_at:
        books.accrue(session, store.lease_of(session, lease.id), now=now)
        store.set_accrued(session, lease.id, now)


def _used(session: Session, lease: LeaseFacts, reader: Any, slot: Slot, until: dt.datetime, now: dt.datetime) -> None:
    """Billable service of one slot up to `until`."""
    if slot.metered_until is not None and slot.metered_until < until:
        books.meter(session, reader, slot.node_id, slot.metered_until, until, now=now)
        store.set_metered(session, lease.id, slot.number, until)


def _shut_down(
    session: Session, lease: LeaseFacts, reader: Any, slot: Slot, until: dt.datetime, now: dt.datetime
) -> dt.datetime:
    """A node that the guest had shut down is found dead at `until`: the time before that was lost by nobody else."""
    begun = slot.metered_until or until
    if begun < until:
        kind, why = _FREE[SlotState.STOPPED]
        books.meter(session, reader, slot.node_id, begun, until, kind=kind, reason=why, now=now)
        store.set_metered(session, lease.id, slot.number, until)
    return max(begun, until)


def _last_seen(lease: LeaseFacts, slot: Slot, until: dt.datetime) -> dt.datetime:
    """Up to when a node that is dead now was seen alive."""
    metered = slot.metered_until or until
    if slot.state is not SlotState.SERVING or lease.seen_at is None:
        return metered
    return max(metered, min(lease.seen_at, until))


def _resume(session: Session, lease: LeaseFacts, numbers: tuple[int, ...], now: dt.datetime) -> None:
    store.changed(session, lease)
    reader = store.lease_of(session, lease.id)
    slots = store.by_slot(lease)
    kind, why = _FREE[SlotState.STOPPED]
    for number in numbers:
        begun = slots[number].metered_until or now
        books.meter(session, reader, slots[number].node_id, begun, now, kind=kind, reason=why, now=now)
        store.set_slots(
            session, lease.id, [number], state=SlotState.SERVING.value, metered_until=max(begun, now), reason=""
        )
        history.event(session, lease.id, "node", f"node {slots[number].node_id} runs again and is billed", now)


# --- bad nodes -----------------------------------------------------------------------------------------------------


def _spoil(session: Session, lease: LeaseFacts, why: Mapping[int, str], now: dt.datetime, policy: Policy) -> None:
    """These nodes are of no use: they go back, and leave the market where it was they who failed."""
    slots = store.by_slot(lease)
    for number, reason in why.items():
        slot = slots[number]
        search_at = _search_at(slot, now, policy)
        store.set_slots(session, lease.id, [number], state=SlotState.BAD.value, reason=reason, search_at=search_at)
        history.event(session, lease.id, "node", f"node {slot.node_id}: {reason}", now, details={"slot": number})
        if slot.ref:
            _intend_end(session, lease.id, slot.ref, now, asked=False)
            books.discredit(session, slot.node_id, reason, now=now)


def _replace(session: Session, lease: LeaseFacts, numbers: tuple[int, ...], now: dt.datetime, policy: Policy) -> None:
    store.changed(session, lease)
    slots = store.by_slot(lease)
    for number in numbers:
        slot = slots[number]
        reader = store.lease_of(session, lease.id)
        new = books.spare(session, reader, number, now=now)
        if new is not None:
            books.take_instead(session, lease.id, slot.node_id, new, now=now)
            history.event(session, lease.id, "node", f"node {new} in place of {slot.node_id}", now)
        elif not slot.ref and books.node_of(session, slot.node_id).is_open:
            new = slot.node_id  # it never came, and nothing speaks against it: once more, under a new key
        else:
            store.set_slots(session, lease.id, [number], search_at=now + policy.replace_every)
            continue
        _next_generation(session, lease.id, slot, new)


def _search_at(slot: Slot, now: dt.datetime, policy: Policy) -> dt.datetime:
    """When another node is looked for: at once; where the node never came, after a pause that grows each time."""
    if slot.ref:
        return now
    pause: dt.timedelta = policy.poll * int(2 ** min(slot.generation, 10))
    return now + min(pause, policy.replace_every)


def _next_generation(session: Session, lease_id: str, slot: Slot, node_id: str) -> None:
    store.set_slots(session, lease_id, [slot.number], current=False)
    session.execute(
        insert(SlotRow).values(
            lease_id=lease_id,
            number=slot.number,
            generation=slot.generation + 1,
            current=True,
            node_id=node_id,
            state=SlotState.WANTED.value,
            key=f"{lease_id}/{slot.number}/{slot.generation + 1}",
            ref="",
            address="",
            reason=slot.reason,
            serving_since=None,
            metered_until=None,
            served_until=None,
            search_at=None,
            checks=0,
            certificate=None,
        )
    )


# --- terminate -----------------------------------------------------------------------------------------------------


def _take_back(desk: Desk, provider: Provider, lease: LeaseFacts, refs: tuple[str, ...]) -> None:
    def intend(session: Session) -> None:
        store.changed(session, lease)
        for ref in refs:
            _intend_end(session, lease.id, ref, desk.now(), asked=True)

    desk.database.run(intend)
    for ref in refs:
        try:
            provider.terminate(ref)
        except ProviderUnavailable as error:
            words, key = str(error), _end_key(ref)
            desk.database.run(lambda session: _no_answer(session, key, words))  # noqa: B023 - it runs at once
            return  # the others are asked for at the next look


def _end_key(ref: str) -> str:
    return f"end/{ref}"


def _intend_end(session: Session, lease_id: str, ref: str, now: dt.datetime, *, asked: bool) -> None:
    """Write down that a node has to go; `asked` where the provider is told in the same breath."""
    key = _end_key(ref)
    long_ago = now if asked else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    known = session.execute(select(IntentRow.key).where(IntentRow.key == key)).first()
    if known is not None:
        if asked:
            _answer(session, key, asked_at=now)
        return
    session.execute(
        insert(IntentRow).values(
            key=key,
            lease_id=lease_id,
            kind="terminate",
            ref=ref,
            nodes=[],
            until=None,
            written_at=now,
            asked_at=long_ago,
            answered_at=None,
            done_at=None,
            answer="",
        )
    )


def _forget(session: Session, lease: LeaseFacts, refs: tuple[str, ...], now: dt.datetime) -> None:
    store.changed(session, lease)
    for ref in refs:
        _answer(session, _end_key(ref), done_at=now, answer="gone")
    if lease.state is State.ENDING:
        over = [s for s in lease.slots if s.ref in refs and s.state not in (SlotState.BAD, SlotState.OVER)]
        _close_service(session, lease, over, now)
