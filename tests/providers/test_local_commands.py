"""Commands on slices of this machine: bounds, logs, and that nothing outlives its node, whatever it tries."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from sublet.errors import InputError
from sublet.providers.local import LocalProvider
from sublet.providers.local_reap import Identity, identity, is_alive
from sublet.providers.local_supply import LocalSupply, slices, usable_cores, usable_memory
from sublet.providers.protocol import CreateRequest, Declined, Limits, Stdio
from sublet.storage.clock import SystemClock

MEMORY = 512 << 20
PYTHON = sys.executable


@pytest.fixture(params=["automatic", None], ids=["groups", "no-groups"])
def node(request, tmp_path):
    """A provider with one running node: (provider, ref)."""
    supply = LocalSupply(nodes=1, cpus_per_node=1, memory_bytes_per_node=MEMORY)
    provider = LocalProvider(tmp_path / "local", supply, SystemClock(), groups=request.param)
    ref = provider.create(CreateRequest("key", "lea_1", "local", ("nod_1",))).refs[0]
    yield provider, ref
    provider.terminate(ref)
    provider.close()


def run(node, *argv, **more):
    """What a command wrote, once it ended well."""
    process = node[0].execute(node[1], argv, **more)
    assert process.wait(20) == 0, process.errors()
    return process.output().decode()


def python(node, program, **more):
    return run(node, PYTHON, "-c", program, **more)


def pids(*patterns):
    """Processes whose command line holds one of the patterns."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if any(pattern.encode() in line for pattern in patterns):
            found.append(int(name))
    return found


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_command_sees_its_lease_and_nothing_of_the_broker(node, monkeypatch):
    monkeypatch.setenv("SUBLET_SECRET", "token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    seen = json.loads(python(node, "import json, os; print(json.dumps(dict(os.environ)))", env={"MINE": "1"}))
    assert seen["SUBLET_LEASE"] == "lea_1"
    assert seen["SUBLET_NODE"] == "nod_1"
    assert seen["SUBLET_NODE_REF"] == node[1]
    assert seen["SUBLET_CPUS"] == seen["OMP_NUM_THREADS"] == "1"
    assert seen["SUBLET_MEMORY_BYTES"] == str(MEMORY)
    assert seen["HOME"] == node[0].describe(node[1]).details["home"]
    assert seen["MINE"] == "1"
    assert not {"SUBLET_SECRET", "AWS_SECRET_ACCESS_KEY"} & set(seen)


def test_a_command_runs_at_home_or_below_it(node):
    home = node[0].describe(node[1]).details["home"]
    assert python(node, "import os; os.mkdir('work'); print(os.getcwd())").strip() == home
    assert python(node, "import os; print(os.getcwd())", cwd="work").strip() == f"{home}/work"
    with pytest.raises(Declined, match="no folder 'nowhere'"):
        node[0].execute(node[1], [PYTHON], cwd="nowhere")


def test_cores_and_memory_are_those_of_the_slice(node):
    assert python(node, "import os; print(len(os.sched_getaffinity(0)))").strip() == "1"
    greedy = node[0].execute(node[1], [PYTHON, "-c", f"x = bytearray({MEMORY + (64 << 20)})"])
    assert greedy.wait(20) != 0
    modest = node[0].execute(node[1], [PYTHON, "-c", f"x = bytearray({MEMORY // 2})"])
    assert modest.wait(20) == 0


def test_limits_of_one_command_are_below_those_of_the_slice(node):
    program = [PYTHON, "-c", f"x = bytearray({MEMORY // 2})"]
    assert node[0].execute(node[1], program, limits=Limits(memory_bytes=MEMORY // 4)).wait(20) != 0


def test_what_is_enforced_is_said(node):
    said = {entry.what: entry for entry in node[0].capabilities().enforcement}
    assert set(said) == {"cpus", "memory", "processes", "disk", "network"}
    assert not any(entry.hard for entry in said.values())
    assert said["disk"].how == "not enforced"


def test_output_status_and_errors_are_kept(node):
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    process = node[0].execute(node[1], [PYTHON, "-c", program])
    assert process.wait(20) == 7
    assert process.output() == b"out\n"
    assert process.output(1, 1) == b"u"
    assert process.errors() == b"err\n"


def test_a_command_killed_by_a_signal_says_so(node):
    process = node[0].execute(node[1], [PYTHON, "-c", "import os; os.kill(os.getpid(), 15)"])
    assert process.wait(20) == -signal.SIGTERM


def test_a_program_that_is_not_there_is_declined_in_words(node):
    with pytest.raises(Declined, match=r"no-such-program.*No such file"):
        node[0].execute(node[1], ["no-such-program"])
    with pytest.raises(Declined):
        node[0].execute(node[1], [])
    assert node[0].processes(node[1]) == () or all(p.poll() is not None for p in node[0].processes(node[1]))


def test_the_time_of_a_command_is_kept(node):
    process = node[0].execute(
        node[1],
        [PYTHON, "-c", "import subprocess, time; subprocess.Popen(['sleep', '987601']); time.sleep(60)"],
        limits=Limits(seconds=0.5),
    )
    assert process.wait(20) == -9
    wait_for(lambda: not pids("987601"))


def test_wait_gives_up_and_kill_ends_it_with_its_children(node):
    process = node[0].execute(
        node[1], [PYTHON, "-c", "import subprocess, time; subprocess.Popen(['sleep', '987602']); time.sleep(60)"]
    )
    wait_for(lambda: pids("987602"))
    assert process.wait(0.05) is None
    process.kill()
    assert process.poll() == -9
    assert not pids("987602")
    process.kill()


ESCAPES = {
    "a background child": "import subprocess; subprocess.Popen(['sleep', '9876{n}'])",
    "a daemon of its own session": (
        "import subprocess; subprocess.Popen(['setsid', '-f', 'sleep', '9876{n}'], start_new_session=True)"
    ),
    "a daemon without its environment": (
        "import subprocess; subprocess.Popen(['env', '-i', 'setsid', '-f', 'sleep', '9876{n}'])"
    ),
    "a guest that ignores the signals it may": (
        "import signal, subprocess, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)];"
        "subprocess.Popen(['sleep', '9876{n}']); time.sleep(60)"
    ),
    "a guest that forks all the time": (
        "import os, time\nfor i in range(200):\n    pid = os.fork()\n    if pid == 0:\n"
        "        os.setsid()\n        if i % 20 == 19: os.execvp('sleep', ['sleep', '9876{n}'])\n"
        "        time.sleep(0.001)\n    else:\n        time.sleep(60)"
    ),
}


@pytest.mark.parametrize("way", list(ESCAPES))
def test_nothing_outlives_its_node(node, way):
    number = str(100 + list(ESCAPES).index(way))
    node[0].execute(node[1], [PYTHON, "-c", ESCAPES[way].replace("{n}", number)])
    wait_for(lambda: pids(f"9876{number}"))
    node[0].terminate(node[1])
    assert not pids(f"9876{number}")
    assert node[0].describe(node[1]).state == "gone"


def test_home_is_wiped_at_the_end_and_the_logs_stay(node):
    home = node[0].describe(node[1]).details["home"]
    python(node, "open('secret', 'w').write('x'); print('said')")
    assert os.path.exists(f"{home}/secret")
    node[0].terminate(node[1])
    assert not os.path.exists(home)
    assert [process.output() for process in node[0].processes(node[1])] == [b"said\n"]


def test_a_command_outlives_the_broker_and_is_found_by_the_next(tmp_path):
    broker = f"""
import sys
from pathlib import Path
from sublet.providers.local import LocalProvider
from sublet.providers.local_supply import LocalSupply
from sublet.providers.protocol import CreateRequest
from sublet.storage.clock import SystemClock
provider = LocalProvider(Path({str(tmp_path)!r}), LocalSupply(nodes=1), SystemClock())
ref = provider.create(CreateRequest("key", "lea_1", "local", ("nod_1",))).refs[0]
provider.execute(ref, [{PYTHON!r}, "-c", "import time; print('up', flush=True); time.sleep(1); print('done')"])
print(ref, flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    first = subprocess.run([PYTHON, "-c", broker], capture_output=True, text=True, timeout=60)
    assert first.returncode == -9, first.stderr
    provider = LocalProvider(tmp_path, LocalSupply(nodes=1), SystemClock())
    found = provider.find("lea_1")
    assert found.refs == (first.stdout.strip(),)
    (process,) = provider.processes(found.refs[0])
    assert process.poll() is None
    assert process.wait(20) == 0
    assert process.output() == b"up\ndone\n"
    provider.terminate(found.refs[0])
    assert provider.find("lea_1").nodes == ()
    provider.close()


def test_a_node_that_is_being_ended_when_the_broker_dies_is_ended_by_the_next(node, monkeypatch):
    provider, ref = node
    provider.execute(ref, ["sleep", "987650"])
    wait_for(lambda: pids("987650"))
    monkeypatch.setattr("sublet.providers.local.end_all", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        provider.terminate(ref)
    monkeypatch.undo()
    assert provider.describe(ref).state == "running"
    assert provider.find("lea_1").refs == (ref,)
    with pytest.raises(Declined, match="being ended"):
        provider.execute(ref, ["true"])
    provider.terminate(ref)
    assert not pids("987650")
    assert provider.describe(ref).state == "gone"


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        ({"cpu_s": 4.0, "busy_s": 9.5, "wall_s": 10.0}, "4.0 s of CPU time of the 10.0 s that its core had"),
        ({"cpu_s": 4.0, "busy_s": 9.5, "wall_s": 10.0}, "others of this machine took 5.5 s"),
        ({"cpu_s": 9.8, "busy_s": 10.0, "wall_s": 10.0}, ""),  # nobody to speak of
        ({"cpu_s": 0.1, "busy_s": 9.8, "wall_s": 10.0}, ""),  # it slept, whatever the others did
        ({"reason": "its time of 1 s was up"}, "its time of 1 s was up"),
        ({"cpu_s": 0.1, "busy_s": 0.4, "wall_s": 0.4}, ""),  # too short to be measured
        ({"cpu_s": 4.0, "busy_s": None, "wall_s": 10.0}, ""),  # a system that does not count
        ({}, ""),
    ],
)
def test_a_command_says_that_its_cores_were_shared(node, ending, sentence):
    process = node[0].execute(node[1], ["true"])
    assert process.wait(20) == 0
    found = json.loads((process.directory / "status.json").read_text())
    assert found["cpu_s"] >= 0
    assert found["wall_s"] > 0
    assert found["busy_s"] is None or found["busy_s"] >= 0
    kept = {name: value for name, value in found.items() if name not in ("cpu_s", "busy_s", "wall_s")}
    (process.directory / "status.json").write_text(json.dumps({**kept, **ending}))
    assert sentence in process.note()
    assert bool(process.note()) == bool(sentence)


def test_a_killed_supervisor_takes_its_command_with_it(node):
    process = node[0].execute(node[1], ["sleep", "987651"])
    wait_for(lambda: pids("987651"))
    os.kill(process.supervisor().pid, signal.SIGKILL)
    assert process.wait(10) == -9
    wait_for(lambda: not pids("987651"))


def test_a_restart_of_the_machine_fails_the_node(node, monkeypatch):
    process = node[0].execute(node[1], ["sleep", "0"])
    process.wait(10)
    monkeypatch.setattr("sublet.providers.local.boot_id", lambda: "another")
    assert node[0].describe(node[1]).state == "failed"
    assert "restarted" in node[0].describe(node[1]).reason


def test_a_shell_speaks_through_a_terminal(node):
    ours, theirs = pty.openpty()
    process = node[0].execute(node[1], ["sh", "-i"], stdio=Stdio(theirs, theirs, theirs), env={"PS1": ""})
    os.close(theirs)
    os.write(ours, b"echo $SUBLET_LEASE; tty; exit 3\n")
    assert process.wait(20) == 3
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:
        pass  # Linux says EIO when the other side is closed
    os.close(ours)
    assert b"lea_1" in seen
    assert b"/dev/pts/" in seen
    assert b"job control" not in seen
    assert process.output() == b""


def test_an_identity_is_more_than_a_number():
    own = identity(os.getpid())
    assert own is not None
    assert is_alive(own)
    assert not is_alive(Identity(own.pid, own.start + 1))


@pytest.mark.parametrize(
    ("supply", "sentence"),
    [
        (LocalSupply(nodes=0), "one or more"),
        (LocalSupply(nodes=5), "fewer nodes"),
        (LocalSupply(nodes=2, cpus_per_node=3), "fewer cores"),
        (LocalSupply(nodes=2, memory_bytes_per_node=600), "less memory"),
    ],
)
def test_a_machine_is_not_cut_into_more_than_it_is(supply, sentence):
    with pytest.raises(InputError, match=sentence):
        slices(supply, (0, 1, 2, 3), 1000)


@pytest.mark.parametrize(
    ("cores", "nodes", "each"), [(1, 1, 1), (2, 1, 1), (4, 1, 3), (2, 2, 1), (4, 2, 1), (5, 2, 2), (16, 1, 15)]
)
def test_a_core_stays_with_the_broker_where_there_is_one_to_spare(cores, nodes, each):
    parts = slices(LocalSupply(nodes=nodes), tuple(range(cores)), 1000)
    assert [len(part.cores) for part in parts] == [each] * nodes


def test_slices_share_no_core():
    parts = slices(LocalSupply(nodes=2), (3, 5, 7, 9, 11), 1000)
    assert [part.cores for part in parts] == [(3, 5), (7, 9)]
    assert sum(part.memory_bytes for part in parts) <= 1000


def test_this_machine_has_cores_and_memory():
    assert usable_cores()
    assert 1 << 28 < usable_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
