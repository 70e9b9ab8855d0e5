"""Commands on this machine's own node: exit codes, a shell, logs as they come, and the demonstration whole."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the local provider lends cores under Linux alone"),
]
PROGRAM = str(Path(sys.executable).with_name("sublet"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    kept = {name: value for name, value in os.environ.items() if name not in ("SUBLET_URL", "SUBLET_TOKEN")}
    return {**kept, "SUBLET_HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def sublet(environment):
    def call(*words, code=0, **more):
        done = subprocess.run(
            [PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=120, check=False, **more
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


def _first(prefix, text):
    found = re.search(rf"{prefix}_\w{{26}}", text)
    assert found is not None, text
    return found.group()


@pytest.fixture(scope="module")
def lease(sublet):
    sublet("supply", "add", "--provider", "local")
    quoted = sublet("order", "quote", "--shape", "local", "--nodes", "1", "--for", "1h").stdout
    placed = sublet("order", "place", _first("quo", quoted), "--wait").stdout
    lease = _first("lea", placed)
    yield lease
    sublet("lease", "end", lease, "--wait")
    assert "its node" not in sublet("run", lease, "--", "true", code=2).stdout


def test_a_command_runs_in_the_lease_and_its_exit_code_is_ours(sublet, lease):
    done = sublet("run", lease, "--env", "X=1", "--", "sh", "-c", "echo $SUBLET_LEASE $X; echo e >&2; exit 7", code=7)
    assert (done.stdout, done.stderr) == (f"{lease} 1\n", "e\n")
    sublet("run", lease, "--", "sh", "-c", "kill -9 $$", code=137)
    assert "No such file" in sublet("run", lease, "--", "nosuchprogram", code=2).stderr
    assert "its time of 1.0 s was up" in sublet("run", lease, "--limit", "1s", "--", "sleep", "60", code=137).stderr


def test_logs_follow_a_command_to_its_end(sublet, lease):
    script = "for i in 1 2 3; do echo line $i; sleep 0.5; done"
    run = sublet("run", lease, "--detach", "--", "sh", "-c", script).stdout.strip()
    assert sublet("logs", lease, run, "-f").stdout == "line 1\nline 2\nline 3\n"
    assert run in sublet("logs", lease, "--list").stdout


def test_a_shell_reads_a_script_and_passes_its_status_on(sublet, lease):
    done = sublet("shell", lease, input="echo $SUBLET_LEASE; exit 4\n", code=4)
    assert done.stdout == f"{lease}\n"
    assert "interactive; it ended with status 4" in sublet("logs", lease, "--list").stdout.replace("\n", " ")


def test_a_shell_is_a_terminal(environment, lease):
    child, ours = pty.fork()
    if child == 0:
        os.execve(PROGRAM, [PROGRAM, "shell", lease], environment)
    seen, asked, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # Linux says EIO when the other side is closed
                break
        if not asked and lease.encode() in seen:  # the prompt
            asked = True
            os.write(ours, b"tty; exit 5\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert b"/dev/pts/" in seen


def test_the_demonstration_balances_its_books_and_leaves_nothing(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "120"}
    command = [PROGRAM, "demo", "broker", "--steps", "5"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("qualify", "quote", "5 steps in", "receipt rcp_", "predicted", "actual", "balanced", "clean"):
        assert word in done.stdout
    assert list(tmp_path.glob("sublet-demo-*")) == []
