"""Fixtures of the broker's tests: a database of each kind with every room's tables in it, and a clock to move.

`database` runs a test twice, on SQLite and on PostgreSQL; `sqlite_database` and `postgresql_database` run it on one.
PostgreSQL is a private cluster, started once per session on a free loopback port; each test gets a database of its own.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database
from sublet.storage.schema import Base

_numbers = count()


def import_tables() -> None:
    """Import `tables` (and `guards`, the database's rules) of every room, so that `Base.metadata` knows them."""
    try:
        broker = importlib.import_module("sublet.broker")
    except ModuleNotFoundError:
        return
    for room in pkgutil.iter_modules(broker.__path__):
        if room.ispkg:
            package = importlib.import_module(f"sublet.broker.{room.name}")
            for module in pkgutil.iter_modules(package.__path__):
                if module.name in ("tables", "guards"):
                    importlib.import_module(f"sublet.broker.{room.name}.{module.name}")


class Cluster:
    """A private PostgreSQL cluster: `start`, then `create()` gives the URL of a fresh database, `stop` at the end."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="sublet-pg-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        url = self.url().replace("postgresql:", "postgresql+psycopg:")
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        self._root = os.geteuid() == 0
        if self._root:
            shutil.chown(self.folder, "postgres")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def command(self, tool: str, *arguments: str) -> None:
        words = [str(self.binaries / tool), *arguments]
        if self._root:
            words = ["su", "postgres", "-s", "/bin/sh", "-c", " ".join(f"'{word}'" for word in words)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=self.folder)
        assert done.returncode == 0, f"{tool}: {done.stdout}{done.stderr}"

    def initialise(self) -> None:
        data = str(self.folder / "data")
        self.command("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=32MB"
            " -c max_connections=200"
        )
        log = str(self.folder / "log")
        self.command("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._engine.dispose()
        self.command("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def create(self, template: str = "template1") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with self._engine.connect() as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        fast = (
            " STRATEGY FILE_COPY" if version >= 150000 else ""
        )  # the default writes all of it to the log, five times slower
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}{fast}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


def postgresql_binaries() -> Path:
    """The folder of the newest installed PostgreSQL; skips with a reason where there is none."""
    places = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (found := shutil.which("initdb")) is not None:
        places.append(Path(found).resolve().parent)
    if not places:
        pytest.skip("needs installed: initdb (package postgresql; `CI=true .ci/run` installs it)")
    return max(places, key=lambda path: [int(part) for part in path.parent.name.split(".") if part.isdigit()])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running private cluster, for the whole session."""
    cluster = Cluster(postgresql_binaries())
    try:
        cluster.initialise()
        yield cluster
        cluster.stop("immediate")
    finally:
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite file with all tables, to be copied."""
    import_tables()
    folder = tmp_path_factory.mktemp("template")
    database = Database.open(folder)
    Base.metadata.create_all(database.engine)
    database.close()  # the last connection writes the log into the file
    return folder / "sublet.db"


@pytest.fixture(scope="session")
def postgresql_template(postgres: Cluster) -> str:
    """The name of an empty database with all tables, to be copied."""
    import_tables()
    url = postgres.create()
    database = Database.open(url)
    Base.metadata.create_all(database.engine)
    database.close()
    return url.rsplit("/", 1)[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Makes databases with all tables: for tests that need several, such as each example of a state machine."""
    make = _sqlite_maker(request, tmp_path) if request.param == "sqlite" else _postgresql_maker(request)
    yield from _made(make)


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """An open database with all tables, empty; the test runs once per kind."""
    return new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database without a table is, as `Database.open` takes it; the test runs once per kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "empty")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create()
    yield url
    cluster.drop(url)


@pytest.fixture
def sqlite_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """As `database`, on SQLite only."""
    for new in _made(_sqlite_maker(request, tmp_path)):
        yield new()


@pytest.fixture
def postgresql_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """As `database`, on PostgreSQL only."""
    for new in _made(_postgresql_maker(request)):
        yield new()


@pytest.fixture
def clock() -> VirtualClock:
    """A clock at midnight of 1 January 2026, UTC."""
    return VirtualClock()


def _sqlite_maker(request: pytest.FixtureRequest, folder: Path) -> Callable[[], tuple[Database, Callable[[], None]]]:
    template: Path = request.getfixturevalue("sqlite_template")

    def make() -> tuple[Database, Callable[[], None]]:
        home = folder / f"home{next(_numbers)}"
        home.mkdir()
        shutil.copy(template, home / "sublet.db")
        return Database.open(home), lambda: None

    return make


def _postgresql_maker(request: pytest.FixtureRequest) -> Callable[[], tuple[Database, Callable[[], None]]]:
    cluster: Cluster = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("postgresql_template")

    def make() -> tuple[Database, Callable[[], None]]:
        url = cluster.create(template)
        return Database.open(url), lambda: cluster.drop(url)

    return make


def _made(make: Callable[[], tuple[Database, Callable[[], None]]]) -> Iterator[Callable[[], Database]]:
    """A maker whose databases are closed and dropped at the end."""
    made: list[tuple[Database, Callable[[], None]]] = []

    def new() -> Database:
        made.append(make())
        return made[-1][0]

    try:
        yield new
    finally:
        for database, drop in made:
            database.close()
            drop()
