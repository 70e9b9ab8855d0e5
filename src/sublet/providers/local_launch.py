"""Runs as a program of its own: starts one command of a lease, outlives the broker, and writes down how it ended.

Called as `python -I -S local_launch.py SPEC` where SPEC is the JSON file that `local_process.start` wrote. The first
process forks a supervisor into a session of its own, prints one line of JSON ({"ok": true} or {"error": ...}) and ends.
The supervisor enters the slice (cgroup, cores, limits), starts the command in another session, waits, and writes the
status file in one rename. It adopts whatever the command leaves behind, so that the tree of a lease can be walked.

Standard library only, and nothing of Sublet: it starts in a few milliseconds and cannot break with the broker.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(path: str) -> int:
    """Fork the supervisor; 0 when the command has started, 1 when it could not."""
    with open(path, encoding="utf-8") as file:
        spec: dict[str, Any] = json.load(file)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _supervise(spec, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        line = answer.read() or json.dumps({"error": "the supervisor ended before the command started"})
    print(line)
    return 0 if json.loads(line).get("ok") else 1


def _supervise(spec: dict[str, Any], answer: int) -> None:
    os.setsid()
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        _enter_slice(spec)
        with open(spec["supervisor"], "w", encoding="utf-8") as file:
            json.dump({"pid": os.getpid(), "start": _start_ticks()}, file)
        began = time.monotonic(), _busy_s(spec["cores"])
        process = _start(spec, libc)
    except OSError as error:
        os.write(answer, json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode())
        return
    os.write(answer, json.dumps({"ok": True}).encode())
    os.close(answer)
    for number in (0, 1, 2):  # the terminal or the broker's pipes are the command's alone
        os.close(number)
        os.open(os.devnull, os.O_RDWR)
    for number in spec["stdio"] or ():
        if number > 2:
            with contextlib.suppress(OSError):
                os.close(number)
    if spec["seconds"] is not None:
        signal.signal(signal.SIGALRM, lambda *_: _time_is_up(spec))
        signal.setitimer(signal.ITIMER_REAL, max(0.001, spec["seconds"]))
    _wait(spec, process.pid, began)


def _enter_slice(spec: dict[str, Any]) -> None:
    if spec["cgroup"]:
        with open(os.path.join(spec["cgroup"], "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    os.sched_setaffinity(0, spec["cores"])
    for name, value in spec["rlimits"].items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (limit, limit))


def _start(spec: dict[str, Any], libc: Any) -> subprocess.Popen[bytes]:
    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # no command without its supervisor
        if spec["stdio"] and os.isatty(0):
            with contextlib.suppress(OSError):  # a terminal of another session stays with that session
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with contextlib.ExitStack() as stack:
        if spec["stdio"]:
            streams: list[Any] = spec["stdio"]
        else:
            streams = [
                stack.enter_context(open(os.devnull, "rb")),
                stack.enter_context(open(spec["stdout"], "ab")),
                stack.enter_context(open(spec["stderr"], "ab")),
            ]
        return subprocess.Popen(
            spec["argv"],
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env=spec["env"],
            cwd=spec["cwd"],
            start_new_session=True,
            preexec_fn=in_child,
        )


def _wait(spec: dict[str, Any], command: int, began: tuple[float, float | None]) -> None:
    """Until the command and everything that it left behind have ended."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return
        if pid == command:
            _write_status(
                spec,
                os.waitstatus_to_exitcode(status),
                cpu_s=usage.ru_utime + usage.ru_stime,
                wall_s=time.monotonic() - began[0],
                busy_s=_since(began[1], _busy_s(spec["cores"])),
            )


def _busy_s(cores: list[int]) -> float | None:
    """CPU seconds since the machine started that these cores were busy for anyone, a host above them included."""
    names = {f"cpu{core}".encode() for core in cores}
    ticks = 0
    try:
        with open("/proc/stat", "rb") as file:
            for line in file:
                fields = line.split()
                if fields[0] in names:
                    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[1:9])
                    ticks += user + nice + system + irq + softirq + steal
    except (OSError, ValueError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK")


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _write_status(spec: dict[str, Any], status: int, *, reason: str = "", **seconds: float | None) -> None:
    if os.path.exists(spec["status"]):
        return
    partial = f"{spec['status']}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump({"status": status, **seconds, "ended_at": time.time(), "reason": reason}, file)
    os.replace(partial, spec["status"])


def _time_is_up(spec: dict[str, Any]) -> None:
    _write_status(spec, -signal.SIGKILL, reason=f"its time of {spec['seconds']} s was up")
    if spec["cgroup"]:
        with contextlib.suppress(OSError), open(os.path.join(spec["cgroup"], "cgroup.kill"), "w") as file:
            file.write("1")  # this process with it
    while children := _descendants(os.getpid()):
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
    os._exit(0)


def _descendants(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            parents.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        for pid in parents.get(waiting.pop(), ()):
            found.append(pid)
            waiting.append(pid)
    return found


def _start_ticks() -> int:
    with open("/proc/self/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
