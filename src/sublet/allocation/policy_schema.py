"""The shape of a policy file: its keys, their types and what they mean; its JSON Schema is made from it.

Invariant: every key has a description, and `policy_file` refuses what is not named here. Times are text with their unit
("12h"); what lies in range is decided by the values in `policy`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sublet.allocation.policy import Candidates, Estimate, Method, OrderBy

SCHEMA_ID = "sublet-policy-1"

Duration = Annotated[str, Meta(description="A duration with its unit, for example 12h or 7d.")]
Share = Annotated[float, Meta(ge=0, le=1, description="A share of the pool, 0 to 1.")]


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A mapping of the file."""


class DurationsSpec(Section, kw_only=True, frozen=True):
    """Which durations rank the jobs; reservations always take the request."""

    order: Annotated[Estimate, Meta(description="The request, or what past jobs (alike: of that request) say.")] = (
        "requested"
    )
    history: Annotated[int, Meta(ge=1, le=1000, description="Ended jobs of a tenant that a prediction looks at.")] = 8


class PatienceSpec(Section, kw_only=True, frozen=True):
    """How long a job waits before it presses: floor + scale * hours ** duration_power * size ** size_power; a job ranks
    by (wait + head_start) / patience + (wait / age) ** age_power, the greatest first."""

    limit: Annotated[Duration | None, Meta(description="Most patience besides the floor; left out: none.")] = None
    scale: Annotated[Duration, Meta(description="Patience of a job of one hour and one unit.")]
    duration_power: Annotated[float, Meta(ge=-5, le=5, description="How patience grows with the duration.")]
    size_power: Annotated[float, Meta(ge=-5, le=5, description="How patience grows with the size of the gang.")] = 0.0
    floor: Annotated[Duration, Meta(description="Patience that even the smallest job has.")] = "0s"
    head_start: Annotated[Duration, Meta(description="Wait that every job is credited with when it comes.")] = "0s"
    age: Annotated[Duration | None, Meta(description="Wait from which age weighs like patience; left out: never.")] = (
        None
    )
    age_power: Annotated[float, Meta(gt=0, le=10, description="How fast age outgrows everything else.")] = 2.0


class OrderSpec(Section, kw_only=True, frozen=True):
    """Who is first."""

    by: Annotated[OrderBy, Meta(description="The key that sorts the queue.")] = "submitted"
    patience: Annotated[PatienceSpec | None, Meta(description="Given exactly when by is patience.")] = None
    oldest_first_after: Annotated[
        Duration | None, Meta(description="Older jobs go before all younger ones, by submit time; left out: never.")
    ] = None


class TierSpec(Section, kw_only=True, frozen=True):
    """A class of service; trace and waitlist name it."""

    name: Annotated[str, Meta(min_length=1, description="For example strategic.")]
    share: Annotated[Share, Meta(description="Guaranteed share of the pool; what is unused others may use.")] = 0.0
    patience: Annotated[float, Meta(gt=0, description="Multiplies the patience of its jobs: below 1 goes sooner.")] = (
        1.0
    )
    rank: Annotated[int, Meta(ge=0, le=100, description="Above 0: always after every lower rank (strict).")] = 0
    preemptible: Annotated[bool, Meta(description="Its running jobs may be ended to make room.")] = False


class FairShareSpec(Section, kw_only=True, frozen=True):
    """Tenants that used more than their share rank after the others."""

    half_life: Annotated[Duration, Meta(description="Time in which usage halves, for example 7d.")]
    tolerance: Annotated[float, Meta(ge=0, description="Equal shares that a tenant may use before it counts.")] = 1.0


class CapsSpec(Section, kw_only=True, frozen=True):
    """Most units of one tenant and its affiliates at once."""

    concurrent: Annotated[float, Meta(gt=0, le=1, description="Share of the pool at any time.")] = 1.0
    over_share: Annotated[float, Meta(gt=0, le=1, description="Share while its usage is over its fair share.")] = 1.0
    over_multiple: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Times what it is entitled to, while its usage is over its fair share; left out: any."),
    ] = None


class BackfillSpec(Section, kw_only=True, frozen=True):
    """Who may go before a job that does not fit."""

    method: Annotated[Method, Meta(description="none, greedy, easy or conservative.")] = "easy"
    reservations: Annotated[int, Meta(ge=1, le=10000, description="First jobs that nobody may delay (easy).")] = 1
    candidates: Annotated[Candidates, Meta(description="The order in which jobs behind are tried.")] = "order"


class PromisesSpec(Section, kw_only=True, frozen=True):
    """How the start that a waiting job was promised is kept."""

    lead: Annotated[Duration | None, Meta(description="Room is kept from so long before it; left out: always.")] = None


class AdmissionSpec(Section, kw_only=True, frozen=True):
    """What a tenant and its affiliates may hold of the waitlist and of the future."""

    open_entries: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Most entries open at once; left out: any number.")
    ] = None
    booked_unit_hours: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Most unit-hours booked for the future; left out: any.")
    ] = None
    no_show_factor: Annotated[float, Meta(ge=0, le=1, description="Each no-show multiplies both caps by it.")] = 1.0


class ReleaseSpec(Section, kw_only=True, frozen=True):
    """When a lease that is not used is taken back."""

    no_show_after: Annotated[Duration | None, Meta(description="Nobody came for so long; left out: never.")] = None
    idle_after: Annotated[Duration | None, Meta(description="Nothing ran for so long; left out: never.")] = None


class PolicySpec(Section, kw_only=True, frozen=True):
    """A policy: who is served when."""

    schema: Annotated[str, Meta(pattern="^sublet-policy-1$", description="The version of this format.")]
    name: Annotated[str, Meta(min_length=1, max_length=80, description="What decisions call the policy.")]
    version: Annotated[int, Meta(ge=1, description="Raise it with every change: decisions are stored with it.")]
    summary: Annotated[str, Meta(description="One sentence for people.")] = ""
    durations: DurationsSpec = DurationsSpec()
    order: OrderSpec = OrderSpec()
    tiers: Annotated[list[TierSpec], Meta(description="Left out: one class of service.")] = []
    fair_share: FairShareSpec | None = None
    caps: CapsSpec = CapsSpec()
    backfill: BackfillSpec = BackfillSpec()
    promises: PromisesSpec = PromisesSpec()
    admission: AdmissionSpec = AdmissionSpec()
    release: ReleaseSpec = ReleaseSpec()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a policy file, for editors and for `sublet allocate policy schema`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Sublet allocation policy",
        **msgspec.json.schema(PolicySpec),
    }
