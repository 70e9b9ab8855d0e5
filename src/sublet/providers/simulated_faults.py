"""What can go wrong at a provider, as values that a test or a rehearsing operator scripts.

Invariant: a fault does what its kind says on the calls that its kind names, after `skip` such calls, `times` times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sublet.errors import InputError
from sublet.units import Money

ALL_CALLS = ("offers", "create", "find", "inventory", "describe", "terminate", "execute", "processes")


@dataclass(frozen=True)
class FaultKind:
    """One way to fail: on which calls, and what happens."""

    calls: tuple[str, ...]
    effect: str


FAULT_KINDS: Mapping[str, FaultKind] = {
    "timeout-before-create": FaultKind(("create",), "no answer, and nothing was made"),
    "timeout-after-create": FaultKind(("create",), "the nodes are made, the answer is lost"),
    "duplicate-create": FaultKind(("create",), "each node is made twice under the tag; the answer names one of each"),
    "partial-gang": FaultKind(("create",), "only the first `count` nodes (default: all but one) are made"),
    "wrong-chip": FaultKind(("create",), "the nodes come with accelerator `value`"),
    "less-memory": FaultKind(("create",), "the nodes come with the share `share` of their memory"),
    "slow-boot": FaultKind(("create",), "the nodes stay creating for `seconds` more"),
    "node-dies": FaultKind(("create",), "the first `count` nodes made (default 1) fail `seconds` after creation"),
    "node-vanishes": FaultKind(("create",), "as node-dies, but the provider then says that they are gone"),
    "capacity-withdrawn": FaultKind(("create", "offers"), "the shape is offered no more"),
    "price-changed": FaultKind(("create", "offers"), "the price is `price` from now on"),
    "empty-list": FaultKind(("find", "inventory"), "an empty answer, whatever exists"),
    "stale-list": FaultKind(("find", "inventory"), "the answer of `seconds` ago"),
    "endpoint-gone": FaultKind(ALL_CALLS, "404 to everything: lists are empty, no ref is known, nothing can be made"),
    "provider-down": FaultKind(ALL_CALLS, "no answer at all, and nothing happens"),
    "slow": FaultKind(ALL_CALLS, "the right answer, `seconds` late"),
    "terminate-ignored": FaultKind(("terminate",), "accepted, and nothing happens"),
    "timeout-after-terminate": FaultKind(("terminate",), "the node is taken back, the answer is lost"),
    "command-hangs": FaultKind(("execute",), "the command starts and never ends"),
    "command-fails": FaultKind(("execute",), "the command ends at once with status 1"),
}


@dataclass(frozen=True)
class Target:
    """What a call is about, as far as the call knows it."""

    tag: str = ""
    shape: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One fault in the script. `times=None` holds until it is cleared."""

    kind: str
    skip: int = 0  # let that many matching calls pass first
    times: int | None = 1
    call: str = ""  # only on this call; "": on every call of the kind
    tag: str = ""  # only for this tag, where the call has one
    shape: str = ""  # only for this shape, where the call has one
    node: str = ""  # only for this node id of the broker: create that asks for it, describe and terminate of it
    seconds: float = 0.0
    count: int | None = None
    share: float = 0.5
    value: str = ""
    price: Money | None = None

    def __post_init__(self) -> None:
        kind = FAULT_KINDS.get(self.kind)
        if kind is None:
            raise InputError(f"{self.kind!r} is no fault: there are {', '.join(sorted(FAULT_KINDS))}")
        if self.call and self.call not in kind.calls:
            raise InputError(f"fault {self.kind} does not happen on {self.call!r}: on {', '.join(kind.calls)}")
        if self.kind == "price-changed" and self.price is None:
            raise InputError("fault price-changed needs a price")
        if self.kind == "wrong-chip" and not self.value:
            raise InputError("fault wrong-chip needs a value: the accelerator that comes")

    def matches(self, call: str, target: Target) -> bool:
        """Whether this call is one that the fault is about; a filter on what a call has not does not exclude it."""
        return (
            call in ((self.call,) if self.call else FAULT_KINDS[self.kind].calls)
            and (not self.tag or self.tag == (target.tag or self.tag))
            and (not self.shape or self.shape == (target.shape or self.shape))
            and (not self.node or not target.nodes or self.node in target.nodes)
        )
