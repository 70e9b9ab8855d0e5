"""Workflows outlive kill -9: finished steps are not run again, the interrupted one is, another worker takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from sublet.errors import SubletError
from sublet.storage import durable
from sublet.storage.durable_log import standing
from sublet.storage.engine import Database

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("durable_worker.py")


@durable.step("double")
def double(number: int) -> int:
    return 2 * number


@durable.step("money")
def money() -> Decimal:
    return Decimal(1)


@durable.workflow("test-doubling")
def doubling(number: int) -> int:
    return double(double(number))


@durable.workflow("test-waiting")
def waiting() -> str:
    return str(durable.wait(30.0))


@pytest.fixture
def launched(database: Database):
    durable.launch(database)
    yield database
    durable.stop()


class Process:
    """A worker in a process of its own, which says in its log what its steps did."""

    def __init__(self, database: Database, log: Path, *arguments: str) -> None:
        where = str(database.path.parent) if database.path else database.url
        self.log = log
        self.process = subprocess.Popen([sys.executable, str(WORKER), where, str(log), *arguments])

    def until(self, line: str, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while line not in lines(self.log):
            assert self.process.poll() is None, f"worker ended with {self.process.returncode}: {lines(self.log)}"
            assert time.monotonic() < deadline, f"no {line!r} in {lines(self.log)}"
            time.sleep(0.02)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        assert self.process.wait(30) == 0


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_without_launch_steps_and_workflows_are_plain_functions():
    assert doubling(3) == 12
    with pytest.raises(SubletError, match="not launched"):
        durable.start("x", "test-doubling", 3)


def test_a_step_that_returns_no_json_says_so_at_once():
    with pytest.raises(TypeError, match=r"money: .*JSON"):
        money()


def test_what_is_prepared_launches_with_the_first_start_and_not_before(sqlite_database):
    assert not durable.ready(sqlite_database)
    with pytest.raises(SubletError, match="nothing was prepared"):
        durable.resources()
    durable.prepare(sqlite_database, "what it works with")
    try:
        assert durable.ready(sqlite_database)
        assert not durable.launched()
        durable.start("lazy", "test-doubling", 2)
        assert durable.launched()
        assert durable.result("lazy") == 8
        assert durable.resources() == "what it works with"
    finally:
        durable.stop()
    assert not durable.ready(sqlite_database)


def test_a_server_with_nothing_durable_to_do_never_imports_the_engine_of_workflows():
    program = "import sys; import sublet.api.serving, sublet.broker.proving.recovery;sys.exit('dbos' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_one_id_is_one_run_and_a_signal_wakes_it(launched):
    durable.start("one", "test-doubling", 3)
    assert durable.result("one") == 12
    durable.start("one", "test-doubling", 100)
    assert durable.result("one") == 12
    assert durable.status("one") == "done"
    assert durable.status("never") is None
    durable.start("two", "test-waiting")
    durable.signal("two", "go")
    assert durable.result("two", timeout_s=10) == "go"


def test_killed_in_a_step_it_goes_on_after_the_last_finished_one(database, tmp_path):
    log = tmp_path / "log"
    assert standing(database, ["lease-1"]) == {}
    first = Process(database, log, "start")
    first.until("qualify begins")
    assert standing(database, ["lease-1", "lease-2"]) == {"lease-1": "running"}
    first.kill()
    assert standing(database, ["lease-1"]) == {"lease-1": "left"}
    second = Process(database, log, "go")
    second.end()
    assert standing(database, ["lease-1"]) == {"lease-1": "done"}
    assert lines(log) == [
        "provision",
        "qualify begins",
        "qualify begins",
        "qualify ends",
        "activate",
        "result node-7:active",
    ]


def test_another_worker_takes_over_from_a_dead_one(postgresql_database, tmp_path):
    log, other_log = tmp_path / "log", tmp_path / "other"
    first = Process(postgresql_database, log, "start")
    first.until("qualify begins")
    other = Process(postgresql_database, other_log, "go")  # alive beside the first: another slot
    time.sleep(1.5)
    assert lines(other_log) == []
    first.kill()
    other.end()
    assert lines(other_log) == ["qualify begins", "qualify ends", "activate", "result node-7:active"]
