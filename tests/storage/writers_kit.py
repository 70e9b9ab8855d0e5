"""Sixteen writers on one database: check-then-act on one row, so that a lost or doubled write shows.

Each act reads a counter, adds a row with the next number, and moves the counter. Run as a script it is one process of
writers: arguments are the database, this process's name, seconds, threads; it prints what was acknowledged as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.orm import Session

from sublet.storage import migrate
from sublet.storage.engine import Database

METADATA = MetaData()
COUNTER = Table("writers_counter", METADATA, Column("id", Integer, primary_key=True), Column("value", Integer))
ACTS = Table(
    "writers_acts",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("act", String(80), unique=True),
)


@dataclass(frozen=True)
class Outcome:
    """What the writers were told, and what the database holds."""

    acknowledged: tuple[str, ...]
    errors: tuple[str, ...]
    slowest_s: float
    stored: tuple[tuple[int, str], ...]
    counter: int
    seconds: float

    def faults(self) -> list[str]:
        """Sentences for what was lost, doubled or refused; empty where all is well."""
        found = [f"a writer saw {error}" for error in self.errors]
        acts = [act for _, act in self.stored]
        if len(set(self.acknowledged)) != len(self.acknowledged):
            found.append("an act was acknowledged twice")
        found += [f"{act} was acknowledged and is lost" for act in sorted(set(self.acknowledged) - set(acts))]
        found += [f"{act} is stored and was never acknowledged" for act in sorted(set(acts) - set(self.acknowledged))]
        if [number for number, _ in self.stored] != list(range(1, len(self.stored) + 1)):
            found.append("the numbers have a gap")
        if self.counter != len(self.stored):
            found.append(f"the counter says {self.counter} and there are {len(self.stored)} rows")
        return found


def write_all(where: str, *, seconds: float, processes: int, threads: int) -> Outcome:
    """Let `processes` x `threads` writers work on the database for a while; its tables are made here."""
    database = Database.open(where)
    migrate.upgrade(database)
    METADATA.create_all(database.engine)
    with database.transaction() as session:
        session.execute(insert(COUNTER).values(id=1, value=0))
    began = time.monotonic()
    command = [sys.executable, __file__, where]
    running = [
        subprocess.Popen([*command, f"p{number}", str(seconds), str(threads)], stdout=subprocess.PIPE)
        for number in range(processes)
    ]
    reports = [json.loads(process.communicate()[0]) for process in running]
    elapsed = time.monotonic() - began
    with database.reading() as session:
        stored = tuple((row.number, row.act) for row in session.execute(select(ACTS).order_by(ACTS.c.number)))
        counter = session.execute(select(COUNTER.c.value)).scalar_one()
    database.close()
    return Outcome(
        tuple(act for report in reports for act in report["acknowledged"]),
        tuple(error for report in reports for error in report["errors"]),
        max(report["slowest_s"] for report in reports),
        stored,
        counter,
        elapsed,
    )


def act(session: Session, name: str) -> None:
    """One check-then-act."""
    value = session.execute(select(COUNTER.c.value)).scalar_one()
    session.execute(insert(ACTS).values(number=value + 1, act=name))
    session.execute(update(COUNTER).values(value=value + 1))


def main(where: str, process: str, seconds: float, threads: int) -> dict[str, object]:
    """One process of writers."""
    database = Database.open(where)
    acknowledged: list[str] = []
    errors: list[str] = []
    slowest = [0.0]
    until = time.monotonic() + seconds

    def write(thread: int) -> None:
        number = 0
        while time.monotonic() < until:
            name, began = f"{process}-{thread}-{number}", time.monotonic()
            try:
                database.run(lambda session, name=name: act(session, name))  # type: ignore[misc]
                acknowledged.append(name)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            slowest[0] = max(slowest[0], time.monotonic() - began)
            number += 1

    workers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    database.close()
    return {"acknowledged": acknowledged, "errors": errors, "slowest_s": slowest[0]}


if __name__ == "__main__":
    place, name, length, count = sys.argv[1:]
    print(json.dumps(main(place, name, float(length), int(count))))
