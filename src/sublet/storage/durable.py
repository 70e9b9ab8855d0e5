"""Work that survives the process: workflows whose finished steps never run twice, whatever is killed when.

A thin module over DBOS, which keeps each step's result in the same database. Functions are declared with `workflow` and
`step`; without `launch` they are plain functions, so what they decide is tested without any of this. After `launch`, a
workflow that was started under an id goes on after a crash, in the same worker's next life or in another worker.

Invariants: one id is one run, whoever starts it again. A step that returned is never run again by that workflow; a step
that was interrupted is, so a step must be idempotent (look for its effect by tag before making it). Arguments and
results are JSON values: what a step returns at first is what it returns when it is replayed.

DBOS is one per process and takes two CPU-seconds to import and launch. `prepare` says that a process may work durably,
and costs nothing; the first `start` launches. Whether there is anything to resume is seen in `durable_log`, without it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sublet.errors import SubletError
from sublet.storage.engine import Database, private_file
from sublet.storage.slots import LIMIT, Slots, slots

P = ParamSpec("P")
R = TypeVar("R")

FILE_NAME = "durable.db"  # beside the broker's file: its many small writes take nobody's turn there
SCHEMA = "durable"  # PostgreSQL: a schema of its own in the same database
VERSION = "1"  # raised only when running workflows of the old code must not be resumed by the new
LOOK_S = 5.0  # how often a worker looks whether another has died
_ADOPT_ALL = 12  # every so many looks it also takes what a worker left that died between two looks

_log = logging.getLogger("sublet.durable")


@dataclass
class _Worker:
    """What lives between `launch` and `stop`."""

    dbos: Any
    slots: Slots
    slot: int
    workflows: dict[str, Callable[..., Any]]
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


@dataclass(frozen=True)
class _Place:
    """Where this process may work durably, and what its workflows work with."""

    database: Database
    resources: Any


_declared: dict[str, Callable[..., Any]] = {}
_worker: _Worker | None = None
_place: _Place | None = None
_launching = threading.RLock()


def workflow(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a workflow under a name that stays (it is written in the database); declare before `launch`.

    The function must do nothing but decide and call steps, `sleep` and `wait`: after a crash it is run again from its
    top, and only its steps remember.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        known = _declared.setdefault(name, function)
        if (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise ValueError(f"workflow {name!r} is {known.__module__}.{known.__qualname__} already")
        _declared[name] = function
        return function

    return declare


def step(
    name: str, *, attempts: int = 1, interval_s: float = 1.0, backoff: float = 2.0
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a step: within a workflow its result is kept; elsewhere it is a plain call.

    `attempts` in all while it raises, the first pause `interval_s` seconds, each next `backoff` times longer.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            return _plain(function(*args, **kwargs), name)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not inside():
                return plain(*args, **kwargs)
            options = {
                "name": name,
                "retries_allowed": attempts > 1,
                "max_attempts": attempts,
                "interval_seconds": interval_s,
                "backoff_rate": backoff,
            }
            result: R = _running().dbos.run_step(options, plain, *args, **kwargs)
            return result

        return call

    return declare


def prepare(database: Database, resources: Any = None) -> None:
    """Let this process work durably on a database, once there is something to do; nothing is imported or made yet.

    `resources` is what workflows find by `resources()`: what no JSON argument can hold. The last call counts.
    """
    global _place
    _place = _Place(database, resources)


def ready(database: Database) -> bool:
    """Whether `start` would work durably on this very database."""
    return _place is not None and _place.database is database


def resources() -> Any:
    """What `prepare` was given; for workflows, which run where somebody prepared."""
    if _place is None:
        raise SubletError("nothing was prepared for durable work in this process")
    return _place.resources


def ensure() -> None:
    """Launch where this process was prepared and has not launched; resumes what dead workers left behind."""
    with _launching:
        if _worker is None and _place is not None:
            launch(_place.database)


def launch(database: Database, *, look_s: float = LOOK_S) -> str:
    """Start working: resume what this worker left behind, and what dead workers did; returns the worker's name.

    Blocks for the import and the tables of DBOS (about 2 s the first time). One per process; SubletError for a second.
    """
    with _launching:
        return _launch(database, look_s)


def _launch(database: Database, look_s: float) -> str:
    global _worker
    if _worker is not None:
        raise SubletError("durable work is already launched in this process")
    logging.getLogger("dbos").addHandler(logging.NullHandler())  # so that it adds no console of its own
    from dbos import DBOS
    from dbos._serialization import DBOSPortableJSON

    places = slots(database)
    slot = places.claim()
    try:
        DBOS(
            config={
                "name": "sublet",
                "system_database_url": _system_url(database),
                "dbos_system_schema": SCHEMA,
                "application_version": VERSION,
                "executor_id": _name(slot),
                "serializer": DBOSPortableJSON,
                "log_level": "WARNING",
                "enable_otlp": False,
                "notification_listener_polling_interval_sec": 0.1,
            }
        )
        declared = {name: DBOS.workflow(name=name)(function) for name, function in sorted(_declared.items())}
        DBOS.launch()
    except BaseException:
        DBOS.destroy(destroy_registry=True)
        places.release()
        raise
    _worker = _Worker(DBOS, places, slot, declared)
    _worker.thread = threading.Thread(target=_look, args=(_worker, look_s), name="sublet-durable-look", daemon=True)
    _worker.thread.start()
    return _name(slot)


def stop(*, finish_s: int = 0) -> None:
    """Stop working, after up to `finish_s` seconds for what runs; the rest goes on after the next `launch`."""
    global _worker, _place
    with _launching:
        worker, _worker, _place = _worker, None, None
    if worker is None:
        return
    worker.stopping.set()
    if worker.thread is not None:
        worker.thread.join()
    worker.dbos.destroy(destroy_registry=True, workflow_completion_timeout_sec=finish_s)
    worker.slots.release()


def launched() -> bool:
    """Whether this process works durably."""
    return _worker is not None


def inside() -> bool:
    """Whether the caller runs within a durable workflow."""
    return _worker is not None and _worker.dbos.workflow_id is not None


def start(identifier: str, name: str, *args: Any) -> None:
    """Start the workflow `name` with JSON arguments under an id; nothing where the id was ever started before.

    Launches first where this process is prepared and nothing was started yet.
    """
    ensure()
    worker = _running()
    if name not in worker.workflows:
        raise SubletError(f"no workflow {name!r}: declared are {', '.join(sorted(worker.workflows)) or 'none'}")
    from dbos import SetWorkflowID

    with SetWorkflowID(identifier):
        worker.dbos.start_workflow(worker.workflows[name], *_plain(list(args), name))


def sleep(seconds: float) -> None:
    """Wait; within a workflow until a moment that is kept, so a restart in between makes the wait no longer."""
    if inside():
        _running().dbos.sleep(seconds)
    else:
        time.sleep(max(0.0, seconds))


def wait(seconds: float, topic: str = "wake") -> Any:
    """Within a workflow: the next signal on a topic, or None after `seconds`."""
    return _running().dbos.recv(topic, timeout_seconds=seconds)


def signal(identifier: str, message: Any = True, topic: str = "wake", *, key: str | None = None) -> None:
    """Wake the workflow of an id that waits on a topic; a second signal of the same `key` is dropped."""
    _running().dbos.send(identifier, _plain(message, "signal"), topic, idempotency_key=key)


def status(identifier: str) -> str | None:
    """ "running", "done", "failed" or "cancelled"; None where the id was never started."""
    found = _running().dbos.get_workflow_status(identifier)
    if found is None:
        return None
    kinds = {"SUCCESS": "done", "ERROR": "failed", "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed", "CANCELLED": "cancelled"}
    return kinds.get(found.status, "running")


def result(identifier: str, *, timeout_s: float = 60.0) -> Any:
    """What the workflow of an id returned, waiting for it; raises what it raised, or SubletError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while (state := status(identifier)) in (None, "running"):
        if time.monotonic() > deadline:
            raise SubletError(f"workflow {identifier} is {state or 'unknown'} after {timeout_s:g} s")
        time.sleep(0.05)
    return _running().dbos.retrieve_workflow(identifier).get_result()


def cancel(identifier: str) -> None:
    """Stop the workflow of an id before its next step."""
    _running().dbos.cancel_workflow(identifier)


def _running() -> _Worker:
    if _worker is None:
        raise SubletError("durable work is not launched in this process: call durable.launch(database) first")
    return _worker


def _name(slot: int) -> str:
    return f"worker-{slot}"


def _system_url(database: Database) -> str:
    """Where DBOS keeps its tables: a file beside the broker's in WAL mode, or a schema of the same database."""
    if database.path is None:
        return database.engine.url.render_as_string(hide_password=False)
    path = database.path.parent / FILE_NAME
    private_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    return f"sqlite:///{path}"


def _plain(value: R, name: str) -> R:
    """The value as JSON would give it back; TypeError for what JSON does not hold."""
    try:
        plain: R = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: {error}; durable steps and workflows take and return JSON values") from error
    return plain


def _look(worker: _Worker, look_s: float) -> None:
    """Until stopped: keep our slot, and take over from workers that were seen dead at two looks in a row."""
    dead_before: set[int] = set(range(LIMIT))  # what was dead before we came is dead
    alive: set[int] = set()
    for look in range(2**62):
        try:
            worker.slots.hold()
            held = worker.slots.held() | {worker.slot}
            dead = set(range(LIMIT)) - held
            candidates = dead if look % _ADOPT_ALL == 0 else dead & alive
            if adopted := sorted(candidates & dead_before):
                worker.dbos._recover_pending_workflows([_name(slot) for slot in adopted])
                alive -= set(adopted)
            alive |= held
            dead_before = dead
        except Exception as error:
            _log.warning("cannot look after other workers: %s", error)
        if worker.stopping.wait(look_s):
            return
