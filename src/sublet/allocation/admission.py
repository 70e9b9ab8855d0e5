"""Who may enter the waitlist and book the future, and what is taken back from those who do not use it.

Caps against hoarding: open entries, booked future, and the penalty of a no-show, all counted over a tenant and its
affiliates together; release of what nobody came for or what idles; choice of the spot jobs that make room. Invariant:
every answer is a value that follows from its arguments, with the reason in words and the figures that decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sublet.allocation.policy import Admission, Release
from sublet.units import HOUR_S


@dataclass(frozen=True)
class Holding:
    """What one tenant holds now: entries on the waitlist, unit-seconds booked for the future, bookings that it did not
    come for (within the time that the operator counts them)."""

    tenant: str
    open_entries: int = 0
    booked_unit_s: float = 0.0
    no_shows: int = 0


@dataclass(frozen=True)
class Verdict:
    """Whether a request is taken, and why in one sentence."""

    taken: bool
    reason: str


@dataclass(frozen=True)
class Use:
    """A lease as its release is judged, times in seconds: when its `units` were ready, when the tenant first came
    (None: not yet), and since when nothing has run on it (None: something runs)."""

    lease: str
    units: int
    ready_s: float
    came_s: float | None = None
    idle_since_s: float | None = None


@dataclass(frozen=True)
class Freed:
    """A lease that is to be released, and why; `no_show` counts against the tenant's later caps."""

    lease: str
    no_show: bool
    reason: str


@dataclass(frozen=True)
class Victim:
    """A running preemptible job: its units, and the unit-seconds of work that would be lost with it."""

    job: str
    units: int
    lost_unit_s: float


def admit(
    rule: Admission, tenant: str, asked_unit_s: float, holdings: Sequence[Holding], affiliates: Mapping[str, str]
) -> Verdict:
    """Whether `tenant` may enter one more request of `asked_unit_s` unit-seconds, beside what it and its affiliates
    hold. Each no-show multiplies the caps by `rule.no_show_factor`; one open entry is always left."""
    group = affiliates.get(tenant, tenant)
    ours = [one for one in holdings if affiliates.get(one.tenant, one.tenant) == group]
    missed = sum(one.no_shows for one in ours)
    factor = rule.no_show_factor**missed
    after = f" after {missed} no-shows" if missed > 1 else " after a no-show" if missed else ""
    entries = sum(one.open_entries for one in ours)
    most = max(1.0, rule.open_entries * factor)
    if entries + 1 > most:
        return Verdict(False, f"{entries} entries are open, and {group} may have {int(most)}{after}")
    booked = sum(one.booked_unit_s for one in ours)
    allowed = rule.booked_unit_s * factor
    if booked + asked_unit_s > allowed:
        return Verdict(
            False,
            f"{booked / HOUR_S:,.1f} unit-hours are booked, {asked_unit_s / HOUR_S:,.1f} more are asked, and "
            f"{group} may book {allowed / HOUR_S:,.1f}{after}",
        )
    return Verdict(True, "within the caps")


def released(rule: Release, uses: Sequence[Use], now_s: float) -> tuple[Freed, ...]:
    """The leases that nobody came for within the grace, or that have been idle for too long, in the order given."""
    freed = []
    for use in uses:
        if use.came_s is None:
            if now_s - use.ready_s >= rule.no_show_after_s:
                freed.append(Freed(use.lease, True, f"nobody came within {rule.no_show_after_s / 60:g} min"))
        elif use.idle_since_s is not None and now_s - use.idle_since_s >= rule.idle_after_s:
            freed.append(Freed(use.lease, False, f"nothing ran on it for {rule.idle_after_s / 60:g} min"))
    return tuple(freed)


def preempt(free: int, needed: int, running: Sequence[Victim]) -> tuple[Victim, ...] | None:
    """The preemptible jobs to end so that `needed` units are free, the cheapest work per unit first and none that turns
    out not to be needed; () where none has to, None where all of them together would not do."""
    missing = needed - free
    if missing <= 0:
        return ()
    chosen: list[Victim] = []
    for one in sorted(running, key=lambda victim: (victim.lost_unit_s / victim.units, victim.units, victim.job)):
        if missing <= 0:
            break
        chosen.append(one)
        missing -= one.units
    if missing > 0:
        return None
    spare = -missing
    for one in sorted(chosen, key=lambda victim: (-victim.lost_unit_s, victim.job)):
        if one.units <= spare:
            chosen.remove(one)
            spare -= one.units
    return tuple(chosen)
