"""A backup is one moment of a broker that serves on; what is damaged or newer is refused and writes nothing."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from sublet.errors import InputError
from sublet.storage import backup as kit
from sublet.storage import migrate
from sublet.storage.engine import Database

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    database = Database.open(folder)
    migrate.upgrade(database)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE pairs (id INTEGER PRIMARY KEY, half INTEGER)"))
    yield database
    database.close()


def add_pair(database: Database, number: int) -> None:
    with database.transaction() as session:
        for half in (2 * number, 2 * number + 1):
            session.execute(text("INSERT INTO pairs VALUES (:half, :number)"), {"half": half, "number": number})


def rows(database: Database) -> int:
    with database.reading() as session:
        return int(session.execute(text("SELECT count(*) FROM pairs")).scalar_one())


def forged(path, change):
    """A copy of a backup with its manifest changed."""
    forgery = path.with_name("forged.tar.gz")
    with tarfile.open(path) as old, tarfile.open(forgery, "w:gz") as new:
        for entry in old:
            file = old.extractfile(entry)
            assert file is not None
            content = file.read()
            if entry.name == kit.MANIFEST:
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(manifest).encode()
                entry.size = len(content)
            new.addfile(entry, io.BytesIO(content))
    return forgery


def test_what_is_backed_up_while_serving_comes_back_whole(home, tmp_path):
    done = threading.Event()

    def serve():
        number = 0
        while not done.is_set():
            add_pair(home, number := number + 1)

    writer = threading.Thread(target=serve)
    writer.start()
    try:
        made = [kit.backup(home, tmp_path / f"backup{number}.tar.gz", now=NOW) for number in range(5)]
    finally:
        done.set()
        writer.join()
    counts = []
    for number, one in enumerate(made):
        kit.restore(one.path, tmp_path / f"restored{number}")
        restored = Database.open(tmp_path / f"restored{number}")
        assert migrate.pending(restored) == ()
        counts.append(rows(restored))
        restored.close()
    assert all(count % 2 == 0 for count in counts)  # no half of a pair
    assert counts == sorted(counts)
    assert counts[-1] > 0
    assert rows(home) >= counts[-1]


def test_keys_come_along_and_locks_and_logs_do_not(home, tmp_path):
    folder = home.path.parent
    (folder / "keys").mkdir()
    (folder / "keys" / "signing.pem").write_text("secret")
    (folder / "providers").mkdir()
    shutil.copy(home.path, folder / "providers" / "simulated.db")
    (folder / "worker-0.lock").touch()
    (folder / "server.log").write_text("noise")
    (folder / "settings.toml").write_text("x = 1")
    made = kit.backup(home, tmp_path / "b.tar.gz", now=NOW)
    assert [name for name, _ in made.members] == [
        "providers/simulated.db",
        "sublet.db",
        "settings.toml",
        "keys/signing.pem",
    ]
    assert made.path.stat().st_mode & 0o077 == 0
    assert kit.inspect(made.path) == made
    kit.restore(made.path, tmp_path / "new")
    assert (tmp_path / "new" / "keys" / "signing.pem").read_text() == "secret"
    assert (tmp_path / "new" / "keys" / "signing.pem").stat().st_mode & 0o077 == 0


def test_restore_refuses_a_newer_schema_and_writes_nothing(home, tmp_path):
    made = kit.backup(home, tmp_path / "b.tar.gz", now=NOW)
    newer = forged(made.path, lambda manifest: manifest.update(revision="9999", program="9.0"))
    with pytest.raises(InputError, match=r"schema 9999 .* restore it with sublet 9\.0 or newer"):
        kit.restore(newer, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_restore_refuses_what_is_damaged(home, tmp_path):
    made = kit.backup(home, tmp_path / "b.tar.gz", now=NOW)
    wrong = forged(made.path, lambda manifest: manifest["members"]["sublet.db"].update(sha256="0" * 64))
    with pytest.raises(InputError, match="does not match its checksum"):
        kit.restore(wrong, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    half = tmp_path / "half.tar.gz"
    half.write_bytes(made.path.read_bytes()[:300])
    with pytest.raises(InputError, match="half"):
        kit.restore(half, tmp_path / "new")
    escape = forged(made.path, lambda manifest: manifest["members"].update({"../evil": {"sha256": "", "bytes": 0}}))
    with pytest.raises(InputError, match="not a backup of a broker"):
        kit.restore(escape, tmp_path / "new")


def test_nothing_is_overwritten(home, tmp_path):
    made = kit.backup(home, tmp_path / "b.tar.gz", now=NOW)
    with pytest.raises(InputError, match="exists"):
        kit.backup(home, made.path, now=NOW)
    with pytest.raises(InputError, match="holds a broker already"):
        kit.restore(made.path, home.path.parent)


def test_postgresql_is_told_of_pg_dump(postgresql_database, tmp_path):
    with pytest.raises(InputError, match="pg_dump"):
        kit.backup(postgresql_database, tmp_path / "b.tar.gz", now=NOW)
