"""Quotes as plain values for JSON and CSV: the contract that programs rely on, versioned by its `schema` field.

Invariant: fields are only ever added under one schema number; money is a JSON number rounded to the cent.
"""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING, Any

from sublet.estimate.result import ChosenLayout, Interval
from sublet.quote.value import Quote, Rejected
from sublet.quote.view import Quotes
from sublet.units import format_money
from sublet.workload.job import TrainingJob
from sublet.workload.parameters import count

if TYPE_CHECKING:
    from sublet.quote.explain import Explanation

SCHEMA = "sublet.quote/1"
JOULES_PER_KWH = 3.6e6

CSV_COLUMNS = (
    "rank",
    "accelerator",
    "count",
    "shape",
    "provider",
    "region",
    "market",
    "days_p10",
    "days_p50",
    "days_p90",
    "cost_p10",
    "cost_p50",
    "cost_p90",
    "currency",
    "price_per_accelerator_hour",
    "price_seen_at",
    "price_source",
    "exaflop_per_usd",
    "memory_verdict",
    "pareto",
    "bottleneck",
    "flags",
)


def document(quotes: Quotes) -> dict[str, Any]:
    """The whole answer: job, date, ranked quotes, refusals and what it rests on."""
    return {
        "schema": SCHEMA,
        "job": job(quotes.job),
        "as_of": quotes.as_of.isoformat(),
        "view": quotes.view,
        "quotes": [quote(entry) for entry in quotes.quotes],
        "rejected": [rejected(entry) for entry in quotes.rejected],
        "more": quotes.more,
        "candidates": quotes.candidates,
        "dominated": quotes.dominated,
        "offers": quotes.offers,
        "superseded": quotes.superseded,
        "sources": list(quotes.feeds),
        "notes": list(quotes.notes),
    }


def quote(entry: Quote) -> dict[str, Any]:
    """One quote."""
    offer, estimate = entry.offer, entry.estimate
    return {
        "rank": entry.rank,
        "accelerator": entry.accelerator,
        "candidates": list(entry.candidates),
        "count": entry.count,
        "shape": offer.shape,
        "provider": offer.provider,
        "region": offer.region,
        "market": offer.market,
        "days": interval(entry.days, 3),
        "cost": {
            "p10": float(entry.cost.p10),
            "p50": float(entry.cost.p50),
            "p90": float(entry.cost.p90),
            "currency": entry.cost.currency,
        },
        "price_per_accelerator_hour": float(offer.price_per_accelerator_hour),
        "price_seen_at": offer.seen_at.isoformat(),
        "price_age_days": entry.price_age_days,
        "price_source": offer.source,
        "price_url": offer.source_url,
        "other_prices": [
            {
                "price_per_accelerator_hour": float(other.price_per_accelerator_hour),
                "currency": other.currency,
                "price_seen_at": other.seen_at.isoformat(),
                "price_source": other.source,
            }
            for other in entry.other_prices
        ],
        "exaflop_per_usd": entry.exaflop_per_usd,
        "pareto": entry.pareto,
        "memory": {
            "verdict": estimate.memory.verdict,
            "bytes": estimate.memory.bytes,
            "limit_bytes": estimate.memory.limit_bytes,
        },
        "layout": layout(estimate.layout),
        "bottleneck": estimate.bottleneck,
        "step_s": interval(estimate.step_s, 6),
        "goodput": estimate.goodput,
        "tokens_per_s": estimate.tokens_per_s,
        "mfu": estimate.mfu,
        "energy_kwh": interval(estimate.energy_j.scaled(1.0 / JOULES_PER_KWH), 1),
        "calibration": estimate.calibration,
        "interruptions": entry.interruptions,
        "assumptions": list(entry.assumptions),
        "similar_offers": entry.similar,
        "flags": list(entry.flags),
    }


def csv_row(entry: Quote) -> list[object]:
    """One quote in the order of CSV_COLUMNS."""
    full = quote(entry)
    flat = {
        **{f"days_{name}": value for name, value in full["days"].items()},
        **{f"cost_{name}": getattr(entry.cost, name) for name in ("p10", "p50", "p90")},
        "currency": entry.cost.currency,
        "price_per_accelerator_hour": entry.offer.price_per_accelerator_hour,
        "memory_verdict": full["memory"]["verdict"],
        "flags": " ".join(entry.flags),
    }
    return [flat.get(name, full.get(name)) for name in CSV_COLUMNS]


def rejected(entry: Rejected) -> dict[str, Any]:
    """One refusal."""
    return {
        "accelerator": entry.accelerator,
        "reason": entry.reason,
        "kind": entry.kind,
        "count": entry.count,
        "offers": entry.offers,
        "miss": entry.miss,
    }


def job(asked: TrainingJob) -> dict[str, Any]:
    """What was asked: the run and its constraints."""
    constraints = asked.constraints
    limits: dict[str, Any] = {
        "deadline_s": constraints.deadline_s,
        "budget": format_money(constraints.budget) if constraints.budget else None,
        "counts": list(constraints.counts),
        "min_count": constraints.min_count,
        "max_count": constraints.max_count,
        "accelerators": list(constraints.accelerators),
        "avoid_accelerators": list(constraints.avoid_accelerators),
        "providers": list(constraints.providers),
        "avoid_providers": list(constraints.avoid_providers),
        "regions": list(constraints.regions),
        "avoid_regions": list(constraints.avoid_regions),
        "markets": list(constraints.markets),
        "country": constraints.country,
    }
    return {
        "name": asked.name,
        "model": asked.model.name,
        "parameters": count(asked.model).total,
        "task": asked.task,
        "tokens": asked.tokens,
        "sequence": asked.sequence,
        "global_batch": asked.global_batch,
        "precision": asked.precision,
        "framework": asked.framework,
        "optimizer": asked.optimizer,
        "constraints": {name: value for name, value in limits.items() if value not in (None, [])},
        "assumptions": list(asked.assumptions),
    }


def explanation(told: Explanation) -> dict[str, Any]:
    """One explanation, beside its quote."""
    return {
        "schema": "sublet.explanation/1",
        "quote": quote(told.quote),
        "step": [{"part": name, "seconds": seconds, "share": share} for name, seconds, share in told.parts],
        "memory": dict(told.memory),
        "figures": [{"figure": name, "source": source} for name, source in told.figures],
        "crossovers": [
            {
                "rank": cross.other,
                "quote": cross.what,
                "price_per_accelerator_hour": float(cross.price_per_accelerator_hour),
                "change": cross.change,
            }
            for cross in told.crossovers
        ],
        "what_if": [
            {"change": case.change, "days": interval(case.days, 3), "time_saved": case.share} for case in told.what_ifs
        ],
    }


def interval(value: Interval, places: int) -> dict[str, float] | None:
    """A figure with its percentiles; None where it is not known."""
    if isnan(value.p50):
        return None
    return {"p10": round(value.p10, places), "p50": round(value.p50, places), "p90": round(value.p90, places)}


def layout(chosen: ChosenLayout) -> dict[str, Any]:
    """How the job is spread."""
    return asdict(chosen)


def encode(said: dict[str, Any]) -> str:
    """A document as JSON text: numbers are finite, lines are indented where it is short enough to be read."""
    import json

    short = len(said.get("quotes", ())) <= 100
    return json.dumps(said, allow_nan=False, ensure_ascii=False, indent=1 if short else None)
