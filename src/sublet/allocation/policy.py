"""A policy as a value: durations, order, tiers, fair share, caps and backfill, each a small part with a name.

Nothing here decides anything: `simulate` reads a policy and does what it says. Invariant: a `Policy` that exists is
valid (ranges are checked when it is made), so that no later step needs to look again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from sublet.errors import InputError

OrderBy = Literal["submitted", "shortest", "smallest-area", "wfp3", "patience", "fair-share"]
Method = Literal["none", "greedy", "easy", "conservative"]
Candidates = Literal["order", "shortest", "smallest-area"]
Estimate = Literal["requested", "predicted", "predicted-alike"]


@dataclass(frozen=True)
class Durations:
    """Which duration ranks a job: the request, or the request times its tenant's usual share of requests, from the last
    `history` jobs that ended; predicted-alike takes those of them that requested the same time, where there are two.
    Reservations always take the request: it is when the job is ended at the latest."""

    order: Estimate = "requested"
    history: int = 8

    def __post_init__(self) -> None:
        _known("durations.order", self.order, get_args(Estimate))
        _within("durations.history", self.history, 1, 1000)


@dataclass(frozen=True)
class Patience:
    """How long a job may wait before it presses: floor_s + scale_s * (duration / 1 h) ** duration_power * size **
    size_power, the second part at most limit_s. A job ranks by (wait + head_start_s) / patience + (wait / age_s) **
    age_power, the greatest first: short jobs press soon, and in the end age alone decides, whatever the job is."""

    limit_s: float
    scale_s: float
    duration_power: float
    size_power: float = 0.0
    floor_s: float = 0.0
    head_start_s: float = 0.0
    age_s: float = math.inf
    age_power: float = 2.0

    def __post_init__(self) -> None:
        _within("order.patience.limit", self.limit_s, 1.0, math.inf)
        _within("order.patience.scale", self.scale_s, 1e-3, math.inf)
        _within("order.patience.duration_power", self.duration_power, -5.0, 5.0)
        _within("order.patience.size_power", self.size_power, -5.0, 5.0)
        _within("order.patience.floor", self.floor_s, 0.0, math.inf)
        _within("order.patience.head_start", self.head_start_s, 0.0, math.inf)
        _within("order.patience.age", self.age_s, 1.0, math.inf)
        _within("order.patience.age_power", self.age_power, 0.1, 10.0)

    def of(self, duration_s: float, size: int) -> float:
        """Seconds of patience of a job, at least 1."""
        value: float = self.scale_s * (duration_s / 3600.0) ** self.duration_power * float(size) ** self.size_power
        return max(1.0, self.floor_s + min(value, self.limit_s))


@dataclass(frozen=True)
class Order:
    """Who is first. A job older than `oldest_first_after_s` goes before all younger ones, by submit time."""

    by: OrderBy = "submitted"
    patience: Patience | None = None
    oldest_first_after_s: float = math.inf

    def __post_init__(self) -> None:
        _known("order.by", self.by, get_args(OrderBy))
        _within("order.oldest_first_after", self.oldest_first_after_s, 0.0, math.inf)
        if (self.by == "patience") != (self.patience is not None):
            raise InputError("order.patience is given exactly when order.by is 'patience'")


@dataclass(frozen=True)
class Tier:
    """A class of service. While its running units are under `share` of the pool it goes before tiers over theirs;
    `patience` multiplies the patience of its jobs; `rank` above 0 lets lower ranks go first, always (strict);
    `preemptible` says that its running jobs may be ended to make room (see `admission.preempt`)."""

    name: str
    share: float = 0.0
    patience: float = 1.0
    rank: int = 0
    preemptible: bool = False

    def __post_init__(self) -> None:
        _within(f"tiers.{self.name}.share", self.share, 0.0, 1.0)
        _within(f"tiers.{self.name}.patience", self.patience, 1e-3, 1e3)
        _within(f"tiers.{self.name}.rank", self.rank, 0, 100)


@dataclass(frozen=True)
class FairShare:
    """Usage decays by half every `half_life_s`. Tenants whose decayed usage is above `tolerance` equal shares (of the
    tenants that used anything or wait) rank after those below."""

    half_life_s: float = 7 * 86_400.0
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        _within("fair_share.half_life", self.half_life_s, 60.0, math.inf)
        _within("fair_share.tolerance", self.tolerance, 0.0, math.inf)


@dataclass(frozen=True)
class Caps:
    """Most units that one tenant (with its affiliates) runs at once, as a share of the pool, and, once its decayed
    usage is over its fair share, the smaller `over_share`, and `over_multiple` times what it is entitled to."""

    concurrent: float = 1.0
    over_share: float = 1.0
    over_multiple: float = math.inf

    def __post_init__(self) -> None:
        _within("caps.concurrent", self.concurrent, 1e-6, 1.0)
        _within("caps.over_share", self.over_share, 1e-6, 1.0)
        _within("caps.over_multiple", self.over_multiple, 1e-3, math.inf)


@dataclass(frozen=True)
class Backfill:
    """Who may go before a job that does not fit: nobody, anybody (greedy), who delays none of the first `reservations`
    jobs (EASY), who delays nobody ahead (conservative). `candidates` is the order in which they are tried."""

    method: Method = "easy"
    reservations: int = 1
    candidates: Candidates = "order"

    def __post_init__(self) -> None:
        _known("backfill.method", self.method, get_args(Method))
        _within("backfill.reservations", self.reservations, 1, 10_000)
        _known("backfill.candidates", self.candidates, get_args(Candidates))


@dataclass(frozen=True)
class Admission:
    """Caps of a tenant with its affiliates: entries open on the waitlist, unit-seconds booked for the future. Each
    no-show multiplies both by `no_show_factor`."""

    open_entries: float = math.inf
    booked_unit_s: float = math.inf
    no_show_factor: float = 1.0

    def __post_init__(self) -> None:
        _within("admission.open_entries", self.open_entries, 1.0, math.inf)
        _within("admission.booked", self.booked_unit_s, 0.0, math.inf)
        _within("admission.no_show_factor", self.no_show_factor, 0.0, 1.0)
        if self.no_show_factor == 0.0 and math.isinf(self.open_entries):
            raise InputError("admission.no_show_factor is 0: give open_entries, for what it multiplies has no limit")


@dataclass(frozen=True)
class Release:
    """A lease is taken back when nobody came for so long, or nothing ran on it for so long; infinite: never."""

    no_show_after_s: float = math.inf
    idle_after_s: float = math.inf

    def __post_init__(self) -> None:
        _within("release.no_show_after", self.no_show_after_s, 0.0, math.inf)
        _within("release.idle_after", self.idle_after_s, 0.0, math.inf)


@dataclass(frozen=True)
class Promises:
    """From `lead_s` before a promised start, nothing may start that would need its room. Infinite: from the moment that
    it is promised, and then it is kept by construction."""

    lead_s: float = math.inf

    def __post_init__(self) -> None:
        _within("promises.lead", self.lead_s, 0.0, math.inf)


@dataclass(frozen=True)
class Policy:
    """The whole of it; `version` is written into every decision that the policy makes."""

    name: str
    version: int = 1
    summary: str = ""
    durations: Durations = field(default_factory=Durations)
    order: Order = field(default_factory=Order)
    tiers: tuple[Tier, ...] = ()
    fair_share: FairShare | None = None
    caps: Caps = field(default_factory=Caps)
    backfill: Backfill = field(default_factory=Backfill)
    promises: Promises = field(default_factory=Promises)
    admission: Admission = field(default_factory=Admission)
    release: Release = field(default_factory=Release)

    def __post_init__(self) -> None:
        _within("version", self.version, 1, 10**9)
        names = [tier.name for tier in self.tiers]
        if len(set(names)) < len(names):
            raise InputError(f"tiers name {names} twice: give each tier one entry")
        if sum(tier.share for tier in self.tiers) > 1.0 + 1e-9:
            raise InputError(
                "the guaranteed shares of the tiers add up to more than the pool: keep their sum at most 1"
            )
        if self.backfill.method == "conservative" and (
            self.order != Order() or self.tiers or self.fair_share or self.caps != Caps()
        ):
            raise InputError(
                "conservative backfill plans every job in the order of submission: leave out order, tiers, fair_share "
                "and caps, or use easy with several reservations"
            )
        if self.order.by == "fair-share" and self.fair_share is None:
            raise InputError("order.by 'fair-share' needs fair_share.half_life")
        if (self.caps.over_share < 1.0 or not math.isinf(self.caps.over_multiple)) and self.fair_share is None:
            raise InputError("caps.over_share and over_multiple need fair_share: it says who is over its share")


def _known(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{what} is {value!r}: give one of {', '.join(choices)}")


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        upper = "" if math.isinf(most) else f" and at most {most:g}"
        raise InputError(f"{what} is {value:g}: give at least {least:g}{upper}")
