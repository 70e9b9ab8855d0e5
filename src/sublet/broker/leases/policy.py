"""How patient the engine is: every span of time that the life of a lease depends on, in one place.

Invariant: nothing here decides about money. Patience changes when we act, never what a second costs.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

_S = dt.timedelta(seconds=1)
_MIN = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Policy:
    """Spans of patience; the defaults suit providers that hand over a node within minutes."""

    poll: dt.timedelta = 2 * _S
    """Between two looks at a lease in which something is being done."""
    watch: dt.timedelta = 5 * _S
    """Between two looks at a lease that simply serves."""
    meter_every: dt.timedelta = _MIN
    """Longest stretch of service that is not yet metered while the provider answers."""
    accrue_every: dt.timedelta = 60 * _MIN
    """Between two entries of a lease in the ledger; what it costs now is known without them."""
    unknown_after: dt.timedelta = 30 * _S
    """A lease that nobody could see for this long is called unknown."""
    alert_after: dt.timedelta = 5 * _MIN
    """Unknown, or not gone at the end, for this long: a person is told."""
    ask_again_after: dt.timedelta = 30 * _S
    """Without an answer to `create`, the same key is asked again after this long (it never makes a second node)."""
    checks: int = 3
    """So often may the gate fail to tell (no answer, a command that hangs) before the node is taken to be no good."""
    ready_within: dt.timedelta = 30 * _MIN
    """From the start until every node has passed; after that the gang is rolled back."""
    replace_every: dt.timedelta = 30 * _S
    """Between two searches for a node in place of a dead one."""
    grace: dt.timedelta = 10 * _MIN
    """Notice before the end; at most a quarter of the lease."""
    stopped_limit: dt.timedelta = 15 * _MIN
    """The guest shut every node down and left it so for this long: the lease ends."""
    hopeless_after: dt.timedelta = 30 * _MIN
    """No node serves and none can be had for this long: the lease ends."""
    quiet: dt.timedelta = 60 * _MIN
    """At the end, where a provider cannot prove absence: so long must it show nothing before we believe it."""
    orphan_after: dt.timedelta = 5 * _MIN
    """A node with our tag and no lease that wants it is reclaimed after this long."""
    claim: dt.timedelta = 60 * _S
    """For how long an engine holds a lease that it works on; another takes it over afterwards."""

    def grace_of(self, starts_at: dt.datetime, ends_at: dt.datetime) -> dt.timedelta:
        """Notice before the end of a lease over [starts_at, ends_at)."""
        return min(self.grace, max(ends_at - starts_at, dt.timedelta()) / 4)
