"""What an adapter must do so that the broker can lease from it: one small protocol and the values that cross it.

Invariants that every adapter keeps, and that `tests/providers/contract.py` checks:

1. **A key makes nodes once.** `create` with an idempotency key that was seen before makes nothing new; it answers with
   what that key made. A caller who got no answer asks again with the same key, from another process if need be.
2. **A node is found by its tag.** Whatever `create` makes carries the request's tag before it can cost anything, also
   when `create` itself fails, times out or is killed half way.
3. **No answer is no knowledge.** `ProviderUnavailable` says that the outcome is unknown: nodes may or may not have been
   made or taken back. `Declined` and its children are the only errors that promise that nothing was made.
4. **Empty is not absent.** `Found.complete` is True only where the adapter can prove that nothing is missing from the
   answer. An empty list, a stale list and a 404 are `complete=False`: the broker keeps looking and never relaunches.
5. **`terminate` may be called for ever.** Twice, on a node that is gone, on a ref that nobody knows: no error. It
   returns when the request is accepted; only `describe` with state "gone" says that the node is gone.

Adapters are plain objects called from several threads: each method is safe to call at any time and blocks until it has
an answer or gives up. A clock is handed in at construction (`Clock`), never read from the system.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from sublet.errors import SubletError
from sublet.storage.clock import Clock as Clock
from sublet.units import Money

CPU_ACCELERATOR = "This CPU"
"""How a machine's own cores are called where they are sold as the accelerator; their figures are measured."""

NodeState = Literal["creating", "running", "stopped", "failed", "gone", "unknown"]
"""creating: asked for, not usable yet. running: usable. stopped: exists and does not run (it may still cost money).
failed: exists and is broken. gone: proven to exist no more. unknown: the provider cannot say;
never read as any other."""

NODE_STATES: tuple[NodeState, ...] = ("creating", "running", "stopped", "failed", "gone", "unknown")


class ProviderError(SubletError):
    """Something that a provider refused or could not do; the text is one sentence that names the provider."""


class ProviderUnavailable(ProviderError):
    """The provider did not answer, or not in a way that can be trusted: the outcome of the call is unknown."""


class Declined(ProviderError):
    """The provider answered no, and nothing was made or changed."""


class CapacityWithdrawn(Declined):
    """The provider has not (or no longer) what was asked for; nothing was made."""


class PriceChanged(Declined):
    """The provider asks more than `CreateRequest.price_limit`; nothing was made. `price` is what it asks now."""

    def __init__(self, sentence: str, price: Money) -> None:
        super().__init__(sentence)
        self.price = price


class KeyReused(Declined):
    """An idempotency key came back with another request than the one that it made; nothing was made."""


class UnknownRef(Declined):
    """The provider does not know this ref. No proof that the node is gone unless `Capabilities.proves_absence`."""


class Unsupported(Declined):
    """This adapter cannot do that at all; `Capabilities` said so."""


@dataclass(frozen=True)
class Enforcement:
    """How one limit of a slice is kept: plainly, because a tenant relies on it."""

    what: str  # "cpus" | "memory" | "processes" | "time" | "disk" | "network"
    how: str  # "cgroup v2 cpu.max", "sched_setaffinity", "RLIMIT_DATA per process", "not enforced"
    hard: bool  # True: a hostile guest cannot exceed it; False: it holds for a guest that does not fight it
    note: str = ""  # one sentence on what it does not cover


@dataclass(frozen=True)
class Capabilities:
    """What this adapter can do here and now. The broker reads it instead of trying."""

    executes: bool = False  # `execute` and `processes` work
    proves_absence: bool = False  # `find`, `inventory` and `describe` can prove that a node does not exist
    ends_at_until: bool = False  # the provider itself takes the node back at `CreateRequest.until`
    enforcement: tuple[Enforcement, ...] = ()
    notes: tuple[str, ...] = ()  # sentences for a person


@dataclass(frozen=True)
class ProviderOffer:
    """What can be had from this provider now. A price that nobody knows is None, never 0."""

    shape: str  # the provider's own name
    accelerator: str  # canonical accelerator name of the catalogue; "" for a machine without one
    accelerators_per_node: int
    cpus: float
    memory_bytes: float
    nodes_available: int | None  # None: the provider does not say
    price_per_node_hour: Money | None
    region: str = ""
    seen_at: dt.datetime | None = None


@dataclass(frozen=True)
class CreateRequest:
    """Make one node for each of `nodes`. Two requests with one `idempotency_key` must be equal in all but `until`."""

    idempotency_key: str  # one per intent; stored by the broker before the call
    tag: str  # the lease's mark: every node made carries it; several keys may share a tag (replacements)
    shape: str
    nodes: tuple[str, ...]  # the broker's node ids, one node each
    until: dt.datetime | None = None  # when the broker means to give them back; a safety net, not a promise
    price_limit: Money | None = None  # per node-hour: decline rather than pay more


@dataclass(frozen=True)
class NodeRef:
    """One node at the provider. `ref` is the provider's name of it: unique for ever, never given to another node."""

    ref: str
    node: str  # the broker's node id it was made for; "" where the provider cannot say
    tag: str


@dataclass(frozen=True)
class Created:
    """What the key made so far. Fewer nodes than were asked for is a partial gang: the caller decides, by tag."""

    nodes: tuple[NodeRef, ...]

    @property
    def refs(self) -> tuple[str, ...]:
        """The provider's names, in the order of the request's nodes."""
        return tuple(node.ref for node in self.nodes)


@dataclass(frozen=True)
class Found:
    """Every node that is not proven gone. `complete=False`: there may be more, also where `nodes` is empty."""

    nodes: tuple[NodeRef, ...]
    complete: bool

    @property
    def refs(self) -> tuple[str, ...]:
        """The provider's names."""
        return tuple(node.ref for node in self.nodes)


@dataclass(frozen=True)
class NodeFacts:
    """What the provider says of one node. It is a claim: qualification measures. None and "" mean: it does not say."""

    ref: str
    state: NodeState
    node: str = ""
    tag: str = ""
    shape: str = ""
    cpus: float | None = None
    memory_bytes: float | None = None
    accelerators: tuple[str, ...] | None = None  # one name per accelerator, as the provider spells it; () is none
    address: str = ""
    price_per_node_hour: Money | None = None
    created_at: dt.datetime | None = None
    reason: str = ""  # a sentence where the state needs one
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Limits of one command beside those of its slice. None: the slice's own."""

    cpus: float | None = None
    memory_bytes: int | None = None
    seconds: float | None = None  # wall clock; then the command and its children are killed


@dataclass(frozen=True)
class Stdio:
    """Open file descriptors to use instead of log files (an interactive shell)."""

    stdin: int
    stdout: int
    stderr: int


@runtime_checkable
class Process(Protocol):
    """A command on a node. It belongs to the node, not to the caller: it outlives the caller's process."""

    @property
    def id(self) -> str:
        """Unique on its node."""

    @property
    def argv(self) -> tuple[str, ...]:
        """What was started."""

    def poll(self) -> int | None:
        """Exit status (negative: killed by that signal), or None while it runs. -9 also where nobody saw it end."""

    def wait(self, timeout_s: float | None = None) -> int | None:
        """`poll` once it has ended, or None when `timeout_s` of real time have passed."""

    def output(self, offset: int = 0, limit: int | None = None) -> bytes:
        """Standard output from byte `offset` on, as far as it is written; b"" with `Stdio`."""

    def errors(self, offset: int = 0, limit: int | None = None) -> bytes:
        """Standard error, likewise."""

    def note(self) -> str:
        """A sentence on how it went, once it has ended and where the provider measured one; else ""."""

    def kill(self) -> None:
        """End it and every process it started; no error when it has ended."""


@runtime_checkable
class Provider(Protocol):
    """One source of nodes. See the module for what must always hold."""

    @property
    def name(self) -> str:
        """The provider's name as contracts spell it: "local", "simulated"."""

    def capabilities(self) -> Capabilities:
        """What works here; cheap, no network."""

    def offers(self) -> list[ProviderOffer]:
        """What can be had now. Raises ProviderUnavailable; an empty list means nothing is offered."""

    def create(self, request: CreateRequest) -> Created:
        """Make the nodes of `request`, tagged. Returns when each is asked for; they may still be "creating".

        Raises Declined and its children where nothing was made, ProviderUnavailable where that is not known.
        """

    def find(self, tag: str) -> Found:
        """The nodes that carry `tag` and are not proven gone. Raises ProviderUnavailable."""

    def inventory(self) -> Found:
        """Every node of ours here, whatever its tag, that is not proven gone: how orphans are found.

        Raises ProviderUnavailable.
        """

    def describe(self, ref: str) -> NodeFacts:
        """The node's state and facts; "gone" for one that was ours. Raises UnknownRef, ProviderUnavailable."""

    def terminate(self, ref: str) -> None:
        """Take the node back, and end all that runs on it, whether the guest agrees or not. See invariant 5.

        Raises ProviderUnavailable, never UnknownRef.
        """

    def execute(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        limits: Limits | None = None,
        stdio: Stdio | None = None,
    ) -> Process:
        """Start `argv` on the node, inside its slice. `env` is added to the node's; `cwd` is relative to its home.

        Raises Unsupported, UnknownRef, Declined (not running, no such command), ProviderUnavailable.
        """

    def processes(self, ref: str) -> tuple[Process, ...]:
        """Every command started on the node by `execute`, oldest first, also by earlier processes of the broker."""
