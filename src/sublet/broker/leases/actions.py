"""What may be done about a lease: the answers of `decide`, one small value each.

Invariant: an action names all that it touches; doing one of them twice, or after a crash again, changes nothing more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from sublet.broker.leases.states import State


@dataclass(frozen=True)
class Wait:
    """Nothing to do before `until`."""

    until: dt.datetime
    reason: str = ""


@dataclass(frozen=True)
class Look:
    """Ask the provider, then decide again."""


@dataclass(frozen=True)
class Move:
    """Change the state. `outcome` is remembered: how the lease closes if it never served."""

    to: State
    reason: str
    outcome: State | None = None
    at_once: bool = False  # to `ending`: the lease ends now, not when it was to end
    by: str = ""  # who ends it: "tenant", "time", "provider", "operator"; "" where that is known already


@dataclass(frozen=True)
class Ask:
    """Write the intent, then call `create` with the slots' key (the same key for as long as the outcome is unknown)."""

    slots: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Adopt:
    """What `find` showed is ours: slot -> (ref, address). `extra` are second nodes for a slot that has one."""

    refs: Mapping[int, tuple[str, str]]
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Qualify:
    """Send the nodes of these slots through the gate."""

    slots: tuple[int, ...]


@dataclass(frozen=True)
class Serve:
    """Every slot has passed (or the replacement has): the nodes are the tenant's from now on, and billed."""

    slots: tuple[int, ...]


@dataclass(frozen=True)
class Meter:
    """Record service up to `until`: `seen` slots as used, `lost` ones as not billable since they were last seen."""

    until: dt.datetime
    seen: tuple[int, ...]
    lost: Mapping[int, str] = field(default_factory=dict)  # slot -> why it serves no longer
    stopped: Mapping[int, str] = field(default_factory=dict)  # slot -> the guest shut it down


@dataclass(frozen=True)
class Resume:
    """A node that the guest had shut down runs again."""

    slots: tuple[int, ...]


@dataclass(frozen=True)
class Spoil:
    """The nodes of these slots (not in service) are of no use and have to go: slot -> why."""

    slots: Mapping[int, str]


@dataclass(frozen=True)
class Replace:
    """Find other nodes for these slots in free supply and ask for them; keep looking if there are none."""

    slots: tuple[int, ...]
    same_node: bool = False  # the node itself was only late or withdrawn: it may be asked for again


@dataclass(frozen=True)
class TakeBack:
    """Call `terminate`, whether the guest agrees or not."""

    refs: tuple[str, ...]


@dataclass(frozen=True)
class Forget:
    """These nodes, which were to be taken back, are proven gone."""

    refs: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """Remember a fact about what was seen (column -> value); changes no state."""

    values: Mapping[str, dt.datetime | None]


@dataclass(frozen=True)
class Alert:
    """Tell a person, once for as long as it lasts."""

    reason: str


Action = (
    Wait
    | Look
    | Move
    | Ask
    | Adopt
    | Qualify
    | Serve
    | Meter
    | Resume
    | Spoil
    | Replace
    | TakeBack
    | Forget
    | Note
    | Alert
)
