"""This machine."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sublet.qualification.hosts.protocol import LONGEST, Output


class LiveHost:
    """Commands of this machine, run without a shell."""

    @property
    def name(self) -> str:
        return platform.node() or "this machine"

    def run(self, argv: Sequence[str], timeout_s: float) -> Output:
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return Output(None, why=f"{argv[0]}: {error.strerror or error}")
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Output(None, out[:LONGEST], err[:LONGEST], f"{argv[0]} did not end within {timeout_s:g} s")
        return Output(process.returncode, out[:LONGEST], err[:LONGEST])

    def read(self, path: str) -> bytes | None:
        try:
            with Path(path).open("rb") as file:
                return file.read(LONGEST)
        except OSError:
            return None

    def now(self) -> float:
        return time.time()
