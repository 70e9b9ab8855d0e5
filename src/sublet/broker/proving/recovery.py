"""Go on with what a dead process left of proving nodes: resume its workflows, or clean up after it.

Called every few seconds by every server. With nothing open it costs one look at an index; the workflow engine is
started only where there is something to resume. Invariant: what a living worker does is left to it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select

from sublet.broker.proving import procedure
from sublet.broker.proving.procedure import Ground
from sublet.broker.proving.tables import ProvingRow
from sublet.storage import durable, durable_log

YOUNG = timedelta(seconds=15)  # who wrote the intent is about to start its workflow
LATE = timedelta(minutes=1)  # after the window: who works on it without a workflow has given up by then

_log = logging.getLogger("sublet.proving")


def resume(ground: Ground) -> int:
    """How many nodes were taken up again or cleaned up after."""
    with ground.database.reading() as session:
        open_ = list(session.scalars(select(ProvingRow).where(ProvingRow.finished_at.is_(None))))
    if not open_:
        return 0
    now, able = ground.clock.now(), durable.ready(ground.database)
    stands = durable_log.standing(ground.database, [procedure.name(task.window_id) for task in open_ if task.durable])
    done = 0
    for task in open_:
        standing = stands.get(procedure.name(task.window_id))
        if standing == "running":
            continue
        if standing == "left" and able:
            durable.ensure()  # takes over what dead workers left; where it was launched before it does so by itself
        elif standing is None and task.durable and able and now < task.ends_at:
            if now < task.begun_at + YOUNG:
                continue
            durable.start(procedure.name(task.window_id), "prove-node", task.window_id)
        elif standing in ("done", "failed") or now >= task.ends_at + LATE:
            _clean_up(ground, task.window_id, standing or "never finished")
        else:
            continue
        done += 1
    return done


def _clean_up(ground: Ground, window: str, why: str) -> None:
    _log.warning("proving in %s: %s; cleaning up", window, why)
    procedure.give_back(ground, window, None)
    procedure.write_down(ground, window, {"error": f"the broker stopped before it was done ({why})"})
