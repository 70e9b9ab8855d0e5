"""A node over SSH, by the OpenSSH client and its own configuration; it never asks for a password."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from sublet.errors import InputError
from sublet.qualification.hosts.live import LiveHost
from sublet.qualification.hosts.protocol import Output

_TARGET = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*")
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5")
_CONNECT_S = 15.0


class SshHost:
    """Commands on `target` ("user@node"). Raises InputError for what is no target."""

    def __init__(self, target: str, local: LiveHost | None = None) -> None:
        if not _TARGET.fullmatch(target):
            raise InputError(f"--host {target!r} is no host: write user@node or node")
        self._target, self._local = target, local or LiveHost()

    @property
    def name(self) -> str:
        return self._target

    def run(self, argv: Sequence[str], timeout_s: float) -> Output:
        command = f"LC_ALL=C exec {shlex.join(argv)} </dev/null"
        output = self._local.run(("ssh", *_OPTIONS, "--", self._target, command), timeout_s + _CONNECT_S)
        if output.status == 255 and output.err.startswith(b"ssh:"):
            return Output(None, why=output.err.decode(errors="replace").strip()[:200])
        return output

    def read(self, path: str) -> bytes | None:
        output = self.run(("cat", "--", path), 10.0)
        return output.out if output.status == 0 else None

    def now(self) -> float:
        return self._local.now()
