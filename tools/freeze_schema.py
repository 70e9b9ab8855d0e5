"""Freeze the schema of a release, with rows in it, so that every later one is tested to upgrade it.

    python tools/freeze_schema.py 0.2.0      at each release that has a new migration, on SQLite and PostgreSQL

Writes tests/storage/released/VERSION.sqlite.sql and VERSION.postgresql.sql: plain statements that make a database as
that release left it, after a small life with leases, money and an audit log. tests/storage/test_released.py restores
each, upgrades it, and has the doctor look at it. Invariant: a file written once is never written again, and neither is
a migration that one of them was made with.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
RELEASED = TESTS / "storage" / "released"
sys.path.insert(0, str(TESTS))


def fill(where: str) -> None:
    """A small life: an organisation, supply, a lease that is settled, one that serves, one to come."""
    from datetime import timedelta

    from lease_kit import World
    from sublet.broker.leases.states import State
    from sublet.storage import migrate
    from sublet.storage.clock import VirtualClock
    from sublet.storage.engine import Database

    database = Database.open(where)
    migrate.upgrade(database)
    with tempfile.TemporaryDirectory() as folder:
        world = World(database, VirtualClock(), Path(folder))
        settled = world.active(nodes=2, hours=1)
        world.passes(900)
        world.end(settled.id)
        world.until(settled.id, State.SETTLED, step=60)
        world.active(nodes=1, hours=24)
        world.order(nodes=1, hours=1, start=world.clock.now() + timedelta(days=1))
    database.close()


def dump_sqlite(folder: Path) -> str:
    """The statements that make the database in a folder."""
    with closing(sqlite3.connect(folder / "sublet.db")) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def dump_postgresql(cluster: Any, url: str) -> str:
    """The statements that make a database of a cluster."""
    done = subprocess.run(
        [str(cluster.binaries / "pg_dump"), "--no-owner", "--inserts", "--no-privileges", url],
        capture_output=True,
        text=True,
        check=True,
    )
    return "".join(line + "\n" for line in done.stdout.splitlines() if not line.startswith(("--", "\\", "SET ")))


def sqlite() -> str:
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        return dump_sqlite(Path(folder))


def postgresql(cluster: Any) -> str:
    url = cluster.create()
    fill(url)
    return dump_postgresql(cluster, url)


def main(version: str) -> int:
    """Write both files; 2 where one is there."""
    from broker_kit import Cluster, postgresql_binaries

    paths = [RELEASED / f"{version}.{kind}.sql" for kind in ("sqlite", "postgresql")]
    if there := [path for path in paths if path.exists()]:
        print(f"{there[0]} is there: what was released is not written again", file=sys.stderr)
        return 2
    cluster = Cluster(postgresql_binaries())
    cluster.initialise()
    try:
        texts = [sqlite(), postgresql(cluster)]
    finally:
        cluster.stop("immediate")
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
