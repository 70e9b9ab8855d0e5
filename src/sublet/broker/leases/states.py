"""The life of a lease as data: its states, which of them may follow which, and why.

    scheduled -> provisioning -> qualifying -> active -> ending -> terminated -> settled
    beside them: degraded -> replacing -> active, and unknown; final: settled, rejected, expired, cancelled, failed

Invariants: a state changes only along `MOVES`; nothing leaves a final state; a final state is entered only where
nothing can be left at the provider: from `scheduled` (nothing was asked for yet) or `terminated` (all of it is gone).
"""

from __future__ import annotations

from enum import StrEnum

from sublet.broker.errors import Conflict


class State(StrEnum):
    """Where a lease stands."""

    SCHEDULED = "scheduled"
    PROVISIONING = "provisioning"
    QUALIFYING = "qualifying"
    ACTIVE = "active"
    DEGRADED = "degraded"
    REPLACING = "replacing"
    UNKNOWN = "unknown"
    ENDING = "ending"
    TERMINATED = "terminated"
    SETTLED = "settled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


FINAL = frozenset({State.SETTLED, State.REJECTED, State.EXPIRED, State.CANCELLED, State.FAILED})
"""Nothing follows."""

STABLE = FINAL | {State.SCHEDULED, State.ACTIVE}
"""A lease may rest here for as long as its calendar says; in any other state something is being done or looked for."""

TRANSITIONAL = frozenset(State) - STABLE

SERVING = frozenset({State.ACTIVE, State.DEGRADED, State.REPLACING, State.ENDING})
"""The tenant has nodes: their seconds are metered. (So they are in `unknown`, once it is known what they were.)"""

BEFORE_SERVICE = frozenset({State.SCHEDULED, State.PROVISIONING, State.QUALIFYING})
"""Nothing is billed yet, whatever the provider charges us."""

MEANING: dict[State, str] = {
    State.SCHEDULED: "nodes are booked, the start lies ahead; nothing was asked of the provider",
    State.PROVISIONING: "nodes were asked of the provider and are being looked for by tag",
    State.QUALIFYING: "every node is there and is being checked; nothing is billed yet",
    State.ACTIVE: "every node passed and is the tenant's; billing runs",
    State.DEGRADED: "a node is gone or failed; the others serve, the dead one is not billed",
    State.REPLACING: "another node was asked for in place of the dead one",
    State.UNKNOWN: "the provider does not answer, or answers with nothing: keep looking, never launch again",
    State.ENDING: "the end is near or asked for: notice is given, then the nodes are taken back from outside",
    State.TERMINATED: "the provider shows that every node is gone",
    State.SETTLED: "all is metered and billed; the receipt is written",
    State.REJECTED: "no node that could be had was what was sold",
    State.EXPIRED: "the time was over before the nodes were ready",
    State.CANCELLED: "called off before anything was delivered",
    State.FAILED: "the provider could not deliver",
}

MOVES: dict[State, dict[State, str]] = {
    State.SCHEDULED: {
        State.PROVISIONING: "the start has come",
        State.CANCELLED: "called off before the start",
        State.EXPIRED: "the end passed before anything was asked for",
        State.REJECTED: "a booked node was withdrawn and none takes its place",
    },
    State.PROVISIONING: {
        State.QUALIFYING: "every node of the gang is there",
        State.UNKNOWN: "the provider does not answer",
        State.ENDING: "called off, out of time, or the gang cannot be completed: roll back",
    },
    State.QUALIFYING: {
        State.ACTIVE: "every node passed: billing starts",
        State.PROVISIONING: "a node was rejected and another is asked for",
        State.UNKNOWN: "the provider does not answer",
        State.ENDING: "called off, out of time, or no node passes: roll back",
    },
    State.ACTIVE: {
        State.DEGRADED: "a node is gone or failed",
        State.UNKNOWN: "the provider does not answer",
        State.ENDING: "the end is near, or asked for",
    },
    State.DEGRADED: {
        State.REPLACING: "another node is asked for",
        State.ACTIVE: "the node is back",
        State.UNKNOWN: "the provider does not answer",
        State.ENDING: "the end is near, or asked for, or no node is left",
    },
    State.REPLACING: {
        State.ACTIVE: "the new node passed",
        State.DEGRADED: "the new node did not come, or did not pass",
        State.UNKNOWN: "the provider does not answer",
        State.ENDING: "the end is near, or asked for",
    },
    State.UNKNOWN: {
        State.PROVISIONING: "the provider answers again",
        State.QUALIFYING: "the provider answers again",
        State.ACTIVE: "the provider answers again: the nodes are there",
        State.DEGRADED: "the provider answers again: a node is gone",
        State.REPLACING: "the provider answers again",
        State.ENDING: "the end came while nobody could look",
    },
    State.ENDING: {
        State.ACTIVE: "extended before the end",
        State.DEGRADED: "extended before the end, with a node missing",
        State.TERMINATED: "the provider shows that every node is gone",
    },
    State.TERMINATED: {
        State.SETTLED: "all that was used is metered and billed",
        State.REJECTED: "no node passed, nothing is billed",
        State.EXPIRED: "the time was over before the nodes were ready, nothing is billed",
        State.CANCELLED: "called off before delivery, nothing is billed",
        State.FAILED: "the provider could not deliver, nothing is billed",
    },
    State.SETTLED: {},
    State.REJECTED: {},
    State.EXPIRED: {},
    State.CANCELLED: {},
    State.FAILED: {},
}
"""From each state, what may follow and for what reason: the only moves there are."""


def legal(before: State, after: State) -> bool:
    """Whether a lease in `before` may become `after`."""
    return after in MOVES[before]


def check(lease_id: str, before: State, after: State) -> None:
    """Refuse a move that is not in the table (Conflict names both states and what would be right)."""
    if not legal(before, after):
        allowed = ", ".join(MOVES[before]) or "nothing: it is final"
        raise Conflict(f"lease {lease_id} is {before} and cannot become {after}; what may follow is {allowed}")


def mermaid() -> str:
    """The machine as the text of a Mermaid state diagram, made from the table."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.SCHEDULED}"]
    for before, moves in MOVES.items():
        lines += [f"    {before} --> {after}: {reason.replace(':', ',')}" for after, reason in moves.items()]
        if before in FINAL:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)
