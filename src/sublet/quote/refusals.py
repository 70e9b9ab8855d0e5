"""Why a priced candidate is not quoted: the estimator refused the machine, or it misses the deadline or the budget.

Invariant: each refusal says by how much its nearest offer missed, where that can be said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sublet.estimate.machines import usable_peak
from sublet.estimate.result import Estimate, Rejection
from sublet.quote.columns import Bools, Columns, Floats, Ints
from sublet.quote.fate import label_of
from sublet.quote.value import Rejected
from sublet.units import format_duration_days
from sublet.workload.job import TrainingJob


def misses(job: TrainingJob, time: Floats, cost: Floats, picked: Columns) -> tuple[Bools, Bools]:
    """Which candidates end after the deadline, and which cost more than the budget, both at the median."""
    constraints = job.constraints
    late = np.zeros(len(time), dtype=np.bool_)
    dear = np.zeros(len(time), dtype=np.bool_)
    if constraints.deadline_s is not None:
        late = time > constraints.deadline_s
    if constraints.budget is not None:
        currency, amount = constraints.budget.currency, float(constraints.budget.amount)
        dear = (cost > amount) & picked.currency.mask(lambda value: value == currency)
    return late, dear


def unfit(
    job: TrainingJob,
    picked: Columns,
    results: Sequence[Estimate | Rejection],
    result: Ints,
    fits: Bools,
) -> list[Rejected]:
    """What the estimator refused, once per accelerator, count and reason."""
    offers: dict[tuple[str, int, str], int] = {}
    kinds: dict[tuple[str, int, str], tuple[str, float | None]] = {}
    pairs, sizes = np.unique(picked.identity.codes[~fits] * len(results) + result[~fits], return_counts=True)
    for pair, size in zip(pairs.tolist(), sizes.tolist(), strict=True):
        identity, index = divmod(pair, len(results))
        refusal = results[index]
        assert isinstance(refusal, Rejection)
        names = picked.identity.vocabulary[identity]
        reason = refusal.reason
        chip = refusal.machine.accelerator.name
        if len(names) > 1 and not reason.startswith(chip):
            reason = f"as {chip}: {reason}"
        key = (label_of(names), refusal.machine.count, reason)
        offers[key] = offers.get(key, 0) + size
        kinds[key] = (kind_of(job, refusal), refusal.shortfall)
    return [
        Rejected(name, kinds[name, count, reason][0], reason, size, count, kinds[name, count, reason][1])
        for (name, count, reason), size in sorted(offers.items())
    ]


def kind_of(job: TrainingJob, refusal: Rejection) -> str:
    """What an estimator's refusal is about: "memory", "precision" or "layout"."""
    if refusal.shortfall is not None:
        return "memory"
    return "layout" if usable_peak(refusal.machine, job.precision) else "precision"


def missed(
    job: TrainingJob,
    picked: Columns,
    count: Ints,
    time: Floats,
    cost: Floats,
    fits: Bools,
    late: Bools,
    dear: Bools,
    currency: str,
) -> list[Rejected]:
    """What misses the deadline or the budget, once per accelerator and count, by its nearest offer."""
    constraints = job.constraints
    entries = []
    for kind, missed in (("deadline", late & fits), ("budget", dear & fits & ~late)):
        rows = np.flatnonzero(missed)
        if not len(rows):
            continue
        if kind == "deadline":
            assert constraints.deadline_s is not None
            figure, limit = time, constraints.deadline_s
        else:
            assert constraints.budget is not None
            figure, limit = cost, float(constraints.budget.amount)
        key = picked.identity.codes[rows] * (int(count.max()) + 1) + count[rows]
        ordered = rows[np.lexsort((figure[rows], key))]
        sorted_key = np.sort(key)
        _, first, sizes = np.unique(sorted_key, return_index=True, return_counts=True)
        for index, size in zip(ordered[first].tolist(), sizes.tolist(), strict=True):
            value = float(figure[index])
            if kind == "deadline":
                over = format_duration_days(value - limit)
                reason = f"deadline: {format_duration_days(value)} on {count[index]:,}, {over} too long"
            else:
                reason = f"budget: at least {value:,.0f} {currency} on {count[index]:,}, {value - limit:,.0f} too much"
            # how near it came counts both limits: a machine that is cheap and far too slow is not near
            miss = max(
                float(time[index]) / constraints.deadline_s if constraints.deadline_s else 0.0,
                float(cost[index]) / float(constraints.budget.amount) if constraints.budget else 0.0,
            )
            name = label_of(picked.identity[index])
            entries.append(Rejected(name, kind, reason, size, int(count[index]), miss))
    return entries
