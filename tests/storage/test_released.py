"""Databases of every release, with rows in them, are brought to today's schema and are whole afterwards.

Frozen ones lie in `released/` (tools/freeze_schema.py); one of today's schema is made, frozen and restored here, so
that the way itself is tested before the first release is frozen.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from test_migrate import schema  # type: ignore[import-not-found]

from broker_kit import Cluster, import_tables
from sublet.broker import doctor
from sublet.broker.audit import log
from sublet.broker.tenants.values import SYSTEM
from sublet.storage import migrate
from sublet.storage.engine import Database

ROOT = Path(__file__).resolve().parents[2]
RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted({path.name.rsplit(".", 2)[0] for path in RELEASED.glob("*.sql")})


def freezer():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import freeze_schema
    finally:
        sys.path.pop(0)
    return freeze_schema


class Kind:
    """One of the two databases: how a dump of it is made and restored."""

    def __init__(self, name, request, folder) -> None:
        self.name, self.folder = name, folder
        self.urls: list[str] = []
        self.cluster: Cluster | None = request.getfixturevalue("postgres") if name == "postgresql" else None

    def frozen_today(self) -> str:
        tool = freezer()
        return str(tool.postgresql(self.cluster) if self.cluster else tool.sqlite())

    def restored(self, dump: str) -> Database:
        if self.cluster is None:
            home = self.folder / "home"
            home.mkdir()
            with closing(sqlite3.connect(home / "sublet.db")) as connection:
                connection.executescript(dump)
            return Database.open(home)
        url = self.cluster.create()
        self.urls.append(url)
        command = [str(self.cluster.binaries / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", url]
        subprocess.run(command, input=dump, text=True, check=True, capture_output=True)
        return Database.open(url)

    def declared(self, database: Database) -> set[tuple[str, ...]]:
        """The schema of a database; of PostgreSQL after a dump and a restore, which write conditions their own way."""
        if self.cluster is None:
            with database.reading() as session:
                found: set[tuple[str, ...]] = schema(session.connection())
                return found
        again = self.restored(freezer().dump_postgresql(self.cluster, self.plain(database)))
        with again.reading() as session:
            found = schema(session.connection())
        again.close()
        return found

    def plain(self, database: Database) -> str:
        return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def kind(request, database, tmp_path):
    made = Kind(database.dialect, request, tmp_path)
    yield made
    for url in made.urls:
        request.getfixturevalue("postgres").drop(url)


@pytest.mark.parametrize("version", [*VERSIONS, "today"])
def test_a_release_with_rows_is_upgraded_and_whole(kind, version, database):
    path = RELEASED / f"{version}.{kind.name}.sql"
    old = kind.restored(kind.frozen_today() if version == "today" else path.read_text(encoding="utf-8"))
    import_tables()
    migrate.upgrade(old)
    assert migrate.pending(old) == ()
    assert kind.declared(old) == kind.declared(database)
    with old.reading() as migrated:
        counts = {
            table: migrated.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in ("leases", "usage_records", "ledger_transactions", "audit_log", "receipts")
        }
        frozen_at = log.entries(migrated, actor=SYSTEM, limit=100_000)[-1].at
    assert all(counts.values()), counts
    broken = [check.law for check in doctor.examine(old, now=frozen_at) if not check.holds]
    old.close()
    assert broken == []


def test_what_was_released_is_not_written_again(tmp_path, monkeypatch, capsys):
    tool = freezer()
    monkeypatch.setattr(tool, "RELEASED", tmp_path)
    (tmp_path / "0.1.0.sqlite.sql").write_text("")
    assert tool.main("0.1.0") == 2
    assert "is not written again" in capsys.readouterr().err
