"""A progress bar on standard error, for a person at a terminal, and only where the wait is longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sublet.estimate.result import Estimate, Machine, Rejection
    from sublet.quote.priced import Plan
    from sublet.workload.job import TrainingJob

PATIENCE_S = 1.0
FIRST_BATCH = 64  # machines; small enough to measure, large enough to be no slower


def watched(plan: Plan) -> Plan:
    """The same estimator; what is expected to take longer than a second is asked in parts, with a bar.

    Without a terminal on standard error it is the estimator itself: one call, nothing drawn.
    """
    if not sys.stderr.isatty():
        return plan

    def asked(job: TrainingJob, machines: Sequence[Machine]) -> Sequence[Estimate | Rejection]:
        if len(machines) <= FIRST_BATCH:
            return plan(job, machines)
        started = time.perf_counter()
        results = list(plan(job, machines[:FIRST_BATCH]))
        spent = time.perf_counter() - started
        rest = machines[FIRST_BATCH:]
        if spent / FIRST_BATCH * len(rest) < PATIENCE_S:
            return [*results, *plan(job, rest)]
        from rich.console import Console
        from rich.progress import Progress

        size = max(FIRST_BATCH, int(FIRST_BATCH * 0.2 / max(spent, 1e-3)))  # redrawn some five times a second
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("estimating", total=len(machines), completed=len(results))
            for start in range(0, len(rest), size):
                results += plan(job, rest[start : start + size])
                bar.update(task, completed=len(results))
        return results

    return asked
