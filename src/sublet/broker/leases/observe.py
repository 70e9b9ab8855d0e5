"""Look at a provider on behalf of one lease. Nothing is judged here: what was not said is "unknown".

A provider that fails to answer several times in a row is left alone for the rest of the pass, so that one dead endpoint
does not hold up the leases of the others.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sublet.broker.leases.states import State
from sublet.broker.leases.values import LeaseFacts, Observation, Seen, SlotState
from sublet.providers.protocol import NodeRef, Provider, ProviderUnavailable, UnknownRef

_LIST = frozenset({State.PROVISIONING, State.QUALIFYING, State.ENDING})
_FAILURES = 3  # in a row, then the provider is taken to be down until the next pass


@dataclass
class Line:
    """The connection to one provider during one pass."""

    provider: Provider
    failures: int = 0

    @property
    def dead(self) -> bool:
        """Whether it is not worth another call in this pass."""
        return self.failures >= _FAILURES


def observe(line: Line, lease: LeaseFacts, now: dt.datetime) -> Observation:
    """What the provider shows of this lease at `now`: found by tag where something is being done, described by ref."""
    if line.dead:
        return Observation(now, answered=False, reason=f"{line.provider.name} does not answer")
    listed: tuple[NodeRef, ...] = ()
    complete = False
    looks = lists(lease)
    if looks:
        try:
            found = line.provider.find(lease.tag)
        except ProviderUnavailable as error:
            line.failures += 1
            return Observation(now, answered=False, reason=str(error))
        listed, complete = found.nodes, found.complete
    refs = dict.fromkeys(ref for ref, _ in _known(lease))
    refs |= dict.fromkeys(node.ref for node in listed)
    names = {node.ref: node.node for node in listed}
    nodes, absent, reason = [], set(), ""
    for ref in refs:
        seen, known, why = _describe(line, ref, names.get(ref, ""))
        reason = reason or why
        nodes.append(seen)
        if not known and ref not in names:
            absent.add(ref)
    unanswered = bool(nodes) and reason != "" and all(node.state == "unknown" for node in nodes) and not absent
    return Observation(now, not unanswered, complete, tuple(nodes), frozenset(absent) if looks else frozenset(), reason)


def lists(lease: LeaseFacts) -> bool:
    """Whether the list by tag can tell more than the known refs."""
    return lease.state in _LIST or any(slot.state is SlotState.ASKED for slot in lease.slots)


def _known(lease: LeaseFacts) -> list[tuple[str, str]]:
    slots = [(slot.ref, slot.node_id) for slot in lease.slots if slot.ref and slot.state is not SlotState.OVER]
    return slots + [(lost.ref, "") for lost in lease.lost]


def _describe(line: Line, ref: str, node: str) -> tuple[Seen, bool, str]:
    """What is said of one node, whether the provider knows it, and why nothing was said."""
    if line.dead:
        return Seen(ref, "unknown", node), True, f"{line.provider.name} does not answer"
    try:
        facts = line.provider.describe(ref)
    except UnknownRef as error:
        line.failures = 0
        if line.provider.capabilities().proves_absence:
            return Seen(ref, "gone", node, str(error)), True, ""
        return Seen(ref, "unknown", node, str(error)), False, str(error)
    except ProviderUnavailable as error:
        line.failures += 1
        return Seen(ref, "unknown", node, str(error)), True, str(error)
    line.failures = 0
    return Seen(ref, facts.state, facts.node or node, facts.reason, facts.address), True, ""
