"""Whatever revision a database comes from, after `upgrade` it has the schema that the rooms declare."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Connection, text

from broker_kit import Cluster, import_tables
from sublet.errors import InputError
from sublet.storage import migrate
from sublet.storage.engine import Database
from sublet.storage.schema import Base


@pytest.fixture
def empty(request, tmp_path, database):
    """A database without a table, of the same kind as `database`."""
    if database.dialect == "sqlite":
        fresh = Database.open(tmp_path / "home")
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        url = cluster.create()
        fresh = Database.open(url)
    yield fresh
    fresh.close()
    if fresh.dialect == "postgresql":
        cluster.drop(url)


def schema(connection: Connection) -> set[tuple[str, ...]]:
    """Every table, column, constraint, index, trigger and function, as the database itself writes it."""
    if connection.dialect.name == "sqlite":
        found = set()
        for kind, name, sql in connection.execute(text("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL")):
            lines = sorted(line.strip().rstrip(",") for line in sql.splitlines())
            found.add((kind, name, *lines) if kind == "table" else (kind, name, sql))
    else:
        queries = (
            "SELECT 'column', table_name, column_name, data_type, is_nullable, coalesce(column_default, ''),"
            " coalesce(character_maximum_length, 0)::text FROM information_schema.columns"
            " WHERE table_schema = 'public'",
            "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conrelid <> 0",
            "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
            "SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS"
            " (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')",
        )
        found = {tuple(row) for query in queries for row in connection.execute(text(query))}
    return {row for row in found if migrate.VERSION_TABLE not in str(row)}


@pytest.mark.parametrize("first", ["", *migrate.revisions()])
def test_every_revision_upgraded_is_what_the_rooms_declare(empty, database, first):
    import_tables()
    if first:
        migrate.upgrade(empty, first)
    migrate.upgrade(empty)
    with empty.reading() as migrated, database.reading() as declared:
        assert schema(migrated.connection()) == schema(declared.connection())
        assert Base.metadata.tables
    assert migrate.pending(empty) == ()
    assert migrate.upgrade(empty) == ()


def test_workers_that_start_at_once_upgrade_once(empty):
    ran = []
    threads = [threading.Thread(target=lambda: ran.append(migrate.upgrade(empty))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == [(), (), (), migrate.revisions()]


def test_a_newer_or_a_foreign_database_is_refused(empty):
    migrate.upgrade(empty)
    with empty.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match=r"schema 9999 .* install a newer sublet"):
        migrate.upgrade(empty)
    with empty.transaction(marked=False) as session:
        session.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(InputError, match="no schema version"):
        migrate.upgrade(empty)
