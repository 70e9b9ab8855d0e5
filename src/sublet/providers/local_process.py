"""A command on a slice of this machine: started through `local_launch`, known by its files.

Each command has a directory: `spec.json` (what was asked), `supervisor.json` (who runs it), `stdout`, `stderr` and,
when it has ended, `status.json`. Any process of the broker reads them; the one that started it may be long gone.
Invariant: a command has ended when `status.json` says so or when its supervisor is no more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sublet.providers import local_launch
from sublet.providers.local_cgroup import remove_group
from sublet.providers.local_reap import Identity, boot_id, end_tree, is_alive
from sublet.providers.protocol import Declined, Limits, ProviderUnavailable, Stdio

_KILLED = -9
_START_TIMEOUT_S = 30.0
_SHARED = 0.05  # of the cores' time, taken by others or by the command: below it nobody notices
_SHORTEST_S = 1.0  # the system counts hundredths of a second


class LocalProcess:
    """Protocol `Process` over the command's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spec: dict[str, Any] = json.loads((directory / "spec.json").read_text(encoding="utf-8"))

    @property
    def id(self) -> str:
        """The command's number on its node."""
        return self._directory.name

    @property
    def argv(self) -> tuple[str, ...]:
        """What was started."""
        return tuple(self._spec["argv"])

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._directory

    def poll(self) -> int | None:
        """From the files; -9 where the machine restarted or the supervisor was killed before it could write."""
        status = self._status()
        if status is None and not self._runs():
            status = self._status()  # it may have ended between the two looks
            return _KILLED if status is None else status
        return status

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Looks at the files ever less often, at most every 50 ms."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause = 0.002
        while (status := self.poll()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            time.sleep(pause if left is None else min(pause, left))
            pause = min(0.05, pause * 1.5)
        return status

    def output(self, offset: int = 0, limit: int | None = None) -> bytes:
        """What the command has written to standard output so far."""
        return _read(Path(self._spec["stdout"]), offset, limit)

    def errors(self, offset: int = 0, limit: int | None = None) -> bytes:
        """What the command has written to standard error so far."""
        return _read(Path(self._spec["stderr"]), offset, limit)

    def note(self) -> str:
        """Why it was stopped; else that others took more than a twentieth of its cores while it had use for them."""
        found = self._ending()
        if found and found.get("reason"):
            return str(found["reason"])
        if not found or any(not isinstance(found.get(name), int | float) for name in ("cpu_s", "busy_s", "wall_s")):
            return ""
        count = len(self._spec["cores"])
        given, others = found["wall_s"] * count, max(0.0, found["busy_s"] - found["cpu_s"])
        if found["wall_s"] < _SHORTEST_S or min(others, found["cpu_s"]) < _SHARED * given:
            return ""
        cores = "its core" if count == 1 else f"its {count} cores"
        return (
            f"the node's cores were shared: the command had {found['cpu_s']:.1f} s of CPU time of the {given:.1f} s"
            f" that {cores} had, others of this machine took {others:.1f} s"
        )

    def kill(self) -> None:
        """The supervisor, the command, and everything that the command started and the supervisor adopted."""
        group = Path(self._spec["cgroup"]) if self._spec["cgroup"] else None
        supervisor = self.supervisor()
        if supervisor is not None:
            left = end_tree(supervisor, group)
            if left:
                raise ProviderUnavailable(f"command {self.id} on this machine does not die: processes {left}")
        if group is not None:
            remove_group(group)

    def supervisor(self) -> Identity | None:
        """Who runs it, for as long as the machine has not restarted."""
        if self._spec["boot_id"] != boot_id():
            return None
        try:
            found = json.loads((self._directory / "supervisor.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return Identity(found["pid"], found["start"])

    def _runs(self) -> bool:
        supervisor = self.supervisor()
        return supervisor is not None and is_alive(supervisor)

    def _status(self) -> int | None:
        found = self._ending()
        return None if found is None else int(found["status"])

    def _ending(self) -> dict[str, Any] | None:
        """How it ended, as its supervisor wrote it down."""
        try:
            found: dict[str, Any] = json.loads((self._directory / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found


def commands(directory: Path) -> tuple[LocalProcess, ...]:
    """The commands of a node, oldest first; one that was never started (no whole spec) is left out."""
    return tuple(
        LocalProcess(entry)
        for entry in sorted(directory.glob("[0-9]*"))
        if (entry / "spec.json").exists() and (entry / "supervisor.json").exists()
    )


def start(
    directory: Path,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    cores: Sequence[int],
    rlimits: Mapping[str, int],
    cgroup: Path | None,
    limits: Limits,
    stdio: Stdio | None,
) -> LocalProcess:
    """Start `argv` under a supervisor; `directory` is the node's, for all of its commands.

    Raises Declined where the command cannot be started (the reason in words).
    """
    if not argv or any("\0" in part for part in argv):
        raise Declined("a command needs a program and arguments without zero bytes")
    own = _new_directory(directory)
    spec = {
        "argv": list(argv),
        "env": dict(env),
        "cwd": str(cwd),
        "stdout": str(own / "stdout"),
        "stderr": str(own / "stderr"),
        "status": str(own / "status.json"),
        "supervisor": str(own / "supervisor.json"),
        "boot_id": boot_id(),
        "cores": list(cores),
        "rlimits": dict(rlimits),
        "cgroup": str(cgroup / own.name) if cgroup else None,
        "seconds": limits.seconds,
        "stdio": [stdio.stdin, stdio.stdout, stdio.stderr] if stdio else None,
    }
    if cgroup is not None:
        (cgroup / own.name).mkdir(exist_ok=True)
    (own / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    try:
        launched = subprocess.run(
            [sys.executable, "-I", "-S", local_launch.__file__, str(own / "spec.json")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(env),
            pass_fds=(stdio.stdin, stdio.stdout, stdio.stderr) if stdio else (),
            timeout=_START_TIMEOUT_S,
            check=False,
        )
        answer = json.loads(launched.stdout or b'{"error": "the launcher said nothing"}')
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise ProviderUnavailable(f"the command {argv[0]!r} may or may not have started: {error}") from None
    if not answer.get("ok"):
        raise Declined(f"the command {argv[0]!r} cannot be started: {answer['error']}")
    return LocalProcess(own)


def _new_directory(directory: Path) -> Path:
    """The next number, also where another process takes one at the same time."""
    directory.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(entry.name) for entry in directory.glob("[0-9]*")), default=0)
    while True:
        own = directory / f"{number:06d}"
        try:
            own.mkdir()
        except FileExistsError:
            number += 1
            continue
        return own


def _read(path: Path, offset: int, limit: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(-1 if limit is None else limit)
    except FileNotFoundError:
        return b""


def command_environment(base: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a command: nothing of the broker's but where programs and words are found."""
    program = os.path.dirname(sys.executable)
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    kept = {name: value for name in ("LANG", "LC_ALL", "TZ", "TERM") if (value := os.environ.get(name))}
    own = {"PATH": f"{program}:{path}", "HOME": str(home), "PWD": str(home), "TMPDIR": str(home.parent / "tmp")}
    return {"LANG": "C.UTF-8", **kept, **own, **base}
