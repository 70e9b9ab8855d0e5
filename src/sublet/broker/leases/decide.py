"""What to do next about one lease: a pure function of what is stored, what was seen, and the time.

The engine asks, does what it is told, stores that, and asks again, until the answer is `Wait`. A crash anywhere loses
nothing: the next engine reads what is stored, looks at the provider by tag, and gets the same answer.

Invariants
- What was not seen is unknown: it is neither healthy nor dead, it is not billed (yet), and nothing is launched for it.
- `create` is asked again only with the same key; a new key for a slot needs proof, or the provider's word, that the old
  one left nothing behind that we do not know of.
- The end comes on time whatever else happens: every state that may hold nodes is left for `ending` when it is due.
- A service second is metered only up to where its node was seen alive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping

from sublet.broker.leases.actions import (
    Action,
    Adopt,
    Alert,
    Ask,
    Forget,
    Look,
    Meter,
    Move,
    Note,
    Qualify,
    Replace,
    Resume,
    Serve,
    Spoil,
    TakeBack,
    Wait,
)
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.values import LeaseFacts, Observation, Seen, Slot, SlotState

_DEAD = frozenset({"failed", "gone"})
_HAS_NODE = frozenset({SlotState.FOUND, SlotState.PASSED, SlotState.SERVING, SlotState.STOPPED})
_IN_SERVICE = frozenset({SlotState.SERVING, SlotState.STOPPED})


def decide(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    """The next thing to do; `Look` where that cannot be known without asking the provider (`seen` is None)."""
    if lease.state in FINAL:
        return Wait(dt.datetime.max.replace(tzinfo=dt.UTC), "final")
    return _RULES[lease.state](lease, seen, now, policy)


# --- before anything was asked for ---------------------------------------------------------------------------------


def _scheduled(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    if lease.end_requested_at is not None:
        return Move(State.CANCELLED, "called off before the start")
    if now >= lease.ends_at:
        return Move(State.EXPIRED, "the end passed before anything was asked for", by="time")
    if now >= lease.starts_at:
        return Move(State.PROVISIONING, "the start has come")
    return Wait(lease.starts_at, "before the start")


# --- getting the gang together -------------------------------------------------------------------------------------


def _provisioning(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    if ending := _give_up(lease, now, policy):
        return ending
    if action := _wanted(lease, now, policy):
        return action
    if seen is None:
        return Look()
    if not seen.answered:
        return _ask_again(lease, seen, now, policy) or _unseen(lease, seen, now, policy)
    return _gather(lease, seen, now, policy) or _all_here(lease, seen, now, policy)


def _all_here(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action:
    states = {slot.number: _state_of(slot, seen) for slot in lease.slots if slot.state in _HAS_NODE}
    if len(states) == len(lease.slots) and all(state == "running" for state in states.values()):
        return Move(State.QUALIFYING, "every node of the gang is there")
    if "unknown" in states.values():
        return _unseen(lease, seen, now, policy)
    return _poll(lease, now, policy, "nodes are being made")


def _qualifying(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    if ending := _give_up(lease, now, policy):
        return ending
    if _numbers(lease, lambda slot: slot.state is SlotState.BAD):
        return Move(State.PROVISIONING, "a node was rejected and another is asked for")
    if seen is None:
        return Look()
    if not seen.answered:
        return _unseen(lease, seen, now, policy)
    if action := _gather(lease, seen, now, policy):
        return action
    states = {slot.number: _state_of(slot, seen) for slot in lease.slots}
    if any(state != "running" for state in states.values()):
        return _unseen(lease, seen, now, policy)
    if unchecked := _numbers(lease, lambda slot: slot.state is SlotState.FOUND):
        due = _numbers(lease, lambda slot: slot.state is SlotState.FOUND and (slot.search_at or now) <= now)
        return Qualify(due) if due else _poll(lease, now, policy, f"{len(unchecked)} nodes are checked again")
    return Serve(tuple(slot.number for slot in lease.slots))


def _give_up(lease: LeaseFacts, now: dt.datetime, policy: Policy) -> Action | None:
    """Why a lease that does not serve yet should not go on."""
    if lease.end_requested_at is not None:
        return Move(State.ENDING, "called off before delivery", State.CANCELLED)
    if now >= lease.ends_at:
        return Move(State.ENDING, "the time was over before the nodes were ready", State.EXPIRED, by="time")
    if now >= lease.starts_at + policy.ready_within:
        bad = [slot.reason for slot in lease.slots if slot.state is SlotState.BAD and slot.reason]
        rejected = any(slot.ref for slot in lease.slots if slot.state is SlotState.BAD)  # it came, and was no good
        why = f"not ready in time: {bad[0]}" if bad else "not ready in time: the gang could not be completed"
        return Move(State.ENDING, why, State.REJECTED if rejected else State.FAILED, by="provider")
    return None


def _wanted(lease: LeaseFacts, now: dt.datetime, policy: Policy) -> Action | None:
    """Slots that have a booked node and were never asked for.

    A node that the lease before has not given back (its provider does not answer, or does not do as told) is waited
    for, then another is looked for: it must not be made a second time in another's name.
    """
    fresh = _numbers(lease, lambda slot: slot.state is SlotState.WANTED)
    if taken := _numbers(lease, lambda slot: slot.state is SlotState.WANTED and slot.taken):
        if now - (lease.changed_at or now) < policy.replace_every:
            return _poll(lease, now, policy, "a node is not back yet from the lease before")
        return Spoil(dict.fromkeys(taken, "it is not back yet from the lease before"))
    return Ask(fresh, "booked, and now asked for") if fresh else None


def _gather(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """Bring slots and provider together: what is ours, what is missing, what is bad. None: nothing to do here."""
    if action := _wanted(lease, now, policy) or _adopt(lease, seen) or _clean(lease, seen, now, policy):
        return action
    bad = {slot.number: _why(slot, seen) for slot in lease.slots if _spoilt(slot, seen)}
    if bad:
        return Spoil(bad)
    due = _numbers(lease, lambda slot: slot.state is SlotState.BAD and (slot.search_at or now) <= now)
    if due:
        return Replace(due)
    return _missing(lease, seen, now, policy)


def _adopt(lease: LeaseFacts, seen: Observation) -> Action | None:
    """Nodes with our tag that no slot knows: the slot's own, or a second one that must go."""
    known = {slot.ref for slot in lease.slots if slot.ref} | {lost.ref for lost in lease.lost}
    strangers = [node for node in seen.nodes if node.ref not in known and node.state != "gone"]
    if not strangers:
        return None
    open_slots = [slot for slot in lease.slots if slot.state is SlotState.ASKED]
    refs: dict[int, tuple[str, str]] = {}
    extra: list[str] = []
    for node in sorted(strangers, key=lambda node: (node.node_id == "", node.ref)):  # the named ones first
        fits = (s for s in open_slots if s.number not in refs and node.node_id in ("", s.node_id))
        slot = next(fits, None)
        if slot is None:
            extra.append(node.ref)
        else:
            refs[slot.number] = (node.ref, node.address)
    return Adopt(refs, tuple(extra))


def _clean(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """Nodes that the lease no longer wants are taken back, and again until they are gone."""
    left = _still_there([lost.ref for lost in lease.lost], seen)
    if gone := tuple(lost.ref for lost in lease.lost if lost.ref not in left):
        return Forget(gone)
    due = tuple(
        lost.ref for lost in lease.lost if lost.ref in left and _due(lost.asked_at, now, policy.ask_again_after)
    )
    return TakeBack(due) if due else None


def _missing(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """Slots that were asked for and are not to be seen."""
    asked = [slot for slot in lease.slots if slot.state is SlotState.ASKED]
    if not asked:
        return None
    short = [s for s in asked if s.answered and (seen.complete or _due(s.asked_at, now, policy.ask_again_after))]
    if short:
        return Spoil({slot.number: "the provider made fewer nodes than it was asked for" for slot in short})
    if action := _ask_again(lease, seen, now, policy):
        return action
    if all(slot.answered for slot in asked):
        return _poll(lease, now, policy, "the provider made fewer nodes than it was asked for, and may show them yet")
    return _unseen(lease, seen, now, policy)


def _ask_again(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """The same key once more: it makes no second node, and its answer tells what the first one made."""
    proven = seen.answered and seen.complete
    again = tuple(
        slot.number
        for slot in lease.slots
        if slot.state is SlotState.ASKED
        and not slot.answered
        and (proven or _due(slot.asked_at, now, policy.ask_again_after))
    )
    why = "the provider proves that nothing was made" if proven else "there was no answer"
    return Ask(again, f"asked again with the same key: {why}") if again else None


# --- serving -------------------------------------------------------------------------------------------------------


def _serving(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    """active, degraded, replacing: one rule; the state says what the slots say."""
    if seen is None:
        return Look()
    if seen.answered and (action := _serve_more(lease, seen, now, policy)):
        return action
    if ending := _end_due(lease, now, policy):
        return ending
    if not seen.answered or _blind(lease, seen):
        return _unseen(lease, seen, now, policy)
    return (
        _state_by_slots(lease, now)
        or _repair(lease, seen, now, policy)
        or Wait(_next_look(lease, now, policy), "serving")
    )


def _serve_more(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """Service that can be metered now: because it is due, or because a node's part in it is over."""
    until = min(seen.at, _end(lease))
    alive, dead, stopped, back = [], {}, {}, []
    sent_back = {lost.ref for lost in lease.lost}  # at the end we take them back ourselves: then gone is no failure
    for slot in lease.slots:
        if slot.state not in _IN_SERVICE or (slot.ref in sent_back and _state_of(slot, seen) != "running"):
            continue
        state = _state_of(slot, seen)
        if state in _DEAD:
            dead[slot.number] = _why(slot, seen)
        elif slot.state is SlotState.SERVING and state == "running":
            alive.append(slot)
        elif slot.state is SlotState.SERVING and state == "stopped":
            stopped[slot.number] = "the guest shut the node down"
        elif slot.state is SlotState.STOPPED and state == "running":
            back.append(slot.number)
    behind = [slot for slot in alive if slot.metered_until is not None and slot.metered_until < until]
    last = until < seen.at or bool(dead or stopped or back) or _end_due(lease, now, policy) is not None
    due = [s for s in behind if last or (s.metered_until is not None and until - s.metered_until >= policy.meter_every)]
    if due or dead or stopped:
        return Meter(until, tuple(slot.number for slot in (behind if due else [])), dead, stopped)
    return Resume(tuple(back)) if back and until == seen.at else None


def _end_due(lease: LeaseFacts, now: dt.datetime, policy: Policy) -> Move | None:
    """Whether the way to the end has begun."""
    if lease.end_requested_at is not None:
        return Move(State.ENDING, "its end was asked for")
    if now >= lease.ends_at - policy.grace_of(lease.starts_at, lease.ends_at):
        return Move(
            State.ENDING, "the end is near: the nodes are taken back at the end, whatever runs on them", by="time"
        )
    if idle := _idle_limit(lease, now, policy):
        stopped = any(slot.state is SlotState.STOPPED for slot in lease.slots)
        return Move(State.ENDING, idle, by="tenant" if stopped else "provider", at_once=True)
    return None


def _repair(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action | None:
    """Dead nodes: ask for others, check them, put them into service."""
    action = _gather(lease, seen, now, policy)
    if action is not None and not isinstance(action, Wait):
        return action
    unchecked = _numbers(
        lease,
        lambda slot: (
            slot.state is SlotState.FOUND and _state_of(slot, seen) == "running" and (slot.search_at or now) <= now
        ),
    )
    if unchecked:
        return Qualify(unchecked)
    passed = _numbers(lease, lambda slot: slot.state is SlotState.PASSED)
    return Serve(passed) if passed else action


def _state_by_slots(lease: LeaseFacts, now: dt.datetime) -> Action | None:
    """The state that the slots call for, one legal move at a time."""
    target, reason = _target(lease)
    if lease.state is target:
        return _idle_note(lease, now)
    if lease.state is State.ACTIVE and target is State.REPLACING:
        target, reason = State.DEGRADED, "a node is gone or failed"
    return Move(target, reason)


def _target(lease: LeaseFacts) -> tuple[State, str]:
    states = {slot.state for slot in lease.slots}
    if states <= {SlotState.SERVING}:
        return State.ACTIVE, "every node serves"
    if states & {SlotState.ASKED, SlotState.FOUND, SlotState.PASSED, SlotState.WANTED}:
        return State.REPLACING, "another node is asked for"
    reasons = sorted({slot.reason for slot in lease.slots if slot.state is not SlotState.SERVING and slot.reason})
    return State.DEGRADED, reasons[0] if reasons else "a node is gone or failed"


def _idle_note(lease: LeaseFacts, now: dt.datetime) -> Action | None:
    """Remember since when no node serves at all."""
    idle = not any(slot.state is SlotState.SERVING for slot in lease.slots)
    if idle != (lease.stopped_at is not None):
        return Note({"stopped_at": now if idle else None})
    return None


def _idle_limit(lease: LeaseFacts, now: dt.datetime, policy: Policy) -> str | None:
    """Why a lease of which no node serves should end, once that has lasted."""
    if lease.stopped_at is None or any(slot.state is SlotState.SERVING for slot in lease.slots):
        return None
    shut_down = any(slot.state is SlotState.STOPPED for slot in lease.slots)
    if shut_down and now - lease.stopped_at >= policy.stopped_limit:
        return "the guest shut every node down and left it so"
    if not shut_down and now - lease.stopped_at >= policy.hopeless_after:
        return "no node is left and none can be had"
    return None


def _unknown(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    """Nobody could look. The end still comes; everything else waits for an answer."""
    before = lease.before or State.ACTIVE
    served = before in (State.ACTIVE, State.DEGRADED, State.REPLACING)
    if not served and (ending := _give_up(lease, now, policy)):
        return ending
    if seen is None:
        return Look()
    if served and seen.answered and (action := _serve_more(lease, seen, now, policy)):
        return action
    if seen.answered and not (_blind(lease, seen) if served else _dark(lease, seen, now, policy)):
        return Move(before, "the provider answers again")
    if not served and (action := _ask_again(lease, seen, now, policy)):
        return action
    if served and (now >= lease.ends_at or lease.end_requested_at is not None):
        by = "time" if lease.end_requested_at is None else ""  # who asked for it stands in the lease
        return Move(State.ENDING, "the end came while nobody could look", by=by)
    since = lease.changed_at or now
    if lease.alerted_at is None and now - since >= policy.alert_after:
        return Alert(f"nobody could see this lease since {since:%Y-%m-%d %H:%M:%S} UTC: {seen.reason or 'no answer'}")
    return _poll(lease, now, policy, "looking")


def _dark(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> bool:
    """Before service: whether what was asked for is not to be seen yet."""
    if any(_state_of(slot, seen) == "unknown" for slot in lease.slots if slot.state in _HAS_NODE):
        return True
    asked = [slot for slot in lease.slots if slot.state is SlotState.ASKED and not slot.answered]
    return bool(asked) and not seen.complete and _adopt(lease, seen) is None


def _blind(lease: LeaseFacts, seen: Observation) -> bool:
    """Whether a node in service is not to be seen."""
    return any(_state_of(slot, seen) == "unknown" for slot in lease.slots if slot.state in _IN_SERVICE)


def _unseen(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action:
    """No answer, or not enough of one: patience first, then `unknown`."""
    last = lease.seen_at or lease.changed_at or now
    if now - last >= policy.unknown_after:
        return Move(State.UNKNOWN, f"the provider does not answer: {seen.reason or 'nothing to be seen of our nodes'}")
    return _poll(lease, now, policy, seen.reason or "no answer yet")


# --- the end -------------------------------------------------------------------------------------------------------


def _ending(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    end = _end(lease)
    over = now >= end or not lease.served
    if not over and lease.end_requested_at is None:
        grace = policy.grace_of(lease.starts_at, lease.ends_at)
        if now < lease.ends_at - grace:
            healthy = all(slot.state is SlotState.SERVING for slot in lease.slots)
            return Move(State.ACTIVE if healthy else State.DEGRADED, "extended before the end")
    if seen is None:
        return Look()
    if seen.answered and (action := _serve_more(lease, seen, now, policy)):
        return action
    if not over:
        if seen.answered and (action := _adopt(lease, seen) or _clean(lease, seen, now, policy)):
            return action
        return Wait(min(end, now + policy.watch), "in its grace")
    return _take_back(lease, seen, now, policy)


def _take_back(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action:
    """Terminate until the provider shows that nothing is left."""
    asked = {lost.ref for lost in lease.lost}
    held = {slot.ref for slot in lease.slots if slot.ref and slot.state not in (SlotState.BAD, SlotState.OVER)}
    if fresh := tuple(sorted(held - asked)):
        return TakeBack(fresh)
    if not seen.answered:  # it may hear us though it does not answer
        due = tuple(lost.ref for lost in lease.lost if _due(lost.asked_at, now, policy.ask_again_after))
        return TakeBack(due) if due else _late(lease, seen, now, policy)
    if action := _adopt(lease, seen) or _clean(lease, seen, now, policy):
        return action
    unanswered = any(slot.state is SlotState.ASKED and not slot.answered for slot in lease.slots)
    if lease.lost or (unanswered and not seen.complete):  # nothing is proven: only long silence tells
        silent = all(lost.ref in seen.absent for lost in lease.lost)
        if silent == (lease.quiet_since is None):
            return Note({"quiet_since": now if silent else None})
        if lease.quiet_since is None or now - lease.quiet_since < policy.quiet:
            return _late(lease, seen, now, policy)
    return Move(State.TERMINATED, "the provider shows that every node is gone")


def _late(lease: LeaseFacts, seen: Observation, now: dt.datetime, policy: Policy) -> Action:
    since = max(lease.changed_at or now, min(lease.ends_at, now))
    if lease.alerted_at is None and now - since >= policy.alert_after:
        return Alert(
            f"the nodes could not be taken back since {since:%Y-%m-%d %H:%M:%S} UTC: {seen.reason or 'still there'}"
        )
    return _poll(lease, now, policy, "being taken back")


def _terminated(lease: LeaseFacts, seen: Observation | None, now: dt.datetime, policy: Policy) -> Action:
    if lease.served:
        return Move(State.SETTLED, "all that was used is metered and billed")
    outcome = lease.outcome or State.FAILED
    return Move(outcome, "nothing was delivered; nothing is billed")


# --- small words ---------------------------------------------------------------------------------------------------


def _end(lease: LeaseFacts) -> dt.datetime:
    """When service ends: as booked, or as asked for before that."""
    return lease.ends_at if lease.end_requested_at is None else min(lease.ends_at, lease.end_requested_at)


def _due(last: dt.datetime | None, now: dt.datetime, span: dt.timedelta) -> bool:
    """Whether something last done at `last` should be done again; also where the clock went back behind it."""
    return last is None or now < last or now - last >= span


def _still_there(refs: Iterable[str], seen: Observation) -> tuple[str, ...]:
    """Those of `refs` that are not proven gone."""
    by_ref = seen.by_ref()
    return tuple(ref for ref in refs if ref not in by_ref or by_ref[ref].state != "gone")


def _state_of(slot: Slot, seen: Observation) -> str:
    """What is seen of the slot's node; "unknown" where nothing is, "failed" where the operator says so."""
    found = seen.by_ref().get(slot.ref)
    if found is None:
        return "unknown"
    return "failed" if slot.failed and found.state != "gone" else found.state


def _spoilt(slot: Slot, seen: Observation) -> bool:
    """A node not (or not yet) in service that cannot come into service."""
    return slot.state in (SlotState.FOUND, SlotState.PASSED) and _state_of(slot, seen) in (*_DEAD, "stopped")


def _why(slot: Slot, seen: Observation) -> str:
    found: Seen | None = seen.by_ref().get(slot.ref)
    if found is None:
        return "the node is gone"
    if slot.failed and found.state not in _DEAD:
        return f"the node is called failed: {slot.failed}"
    return f"the node {'is gone' if found.state == 'gone' else found.state}" + (
        f": {found.reason}" if found.reason else ""
    )


def _numbers(lease: LeaseFacts, test: Callable[[Slot], bool]) -> tuple[int, ...]:
    return tuple(slot.number for slot in lease.slots if test(slot))


def _poll(lease: LeaseFacts, now: dt.datetime, policy: Policy, reason: str) -> Wait:
    return Wait(now + policy.poll, reason)


def _next_look(lease: LeaseFacts, now: dt.datetime, policy: Policy) -> dt.datetime:
    return min(now + policy.watch, lease.ends_at - policy.grace_of(lease.starts_at, lease.ends_at))


_RULES: Mapping[State, Callable[[LeaseFacts, Observation | None, dt.datetime, Policy], Action]] = {
    State.SCHEDULED: _scheduled,
    State.PROVISIONING: _provisioning,
    State.QUALIFYING: _qualifying,
    State.ACTIVE: _serving,
    State.DEGRADED: _serving,
    State.REPLACING: _serving,
    State.UNKNOWN: _unknown,
    State.ENDING: _ending,
    State.TERMINATED: _terminated,
}
