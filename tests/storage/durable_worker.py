"""A worker of test_durable.py in a process of its own: arguments are the database, the log, and start or go.

`start` starts the workflow and stays in its second step until killed; `go` finishes what it finds and ends.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sublet.storage import durable
from sublet.storage.engine import Database

where, log, mode = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


def say(line: str) -> None:
    with log.open("a") as file:
        file.write(line + "\n")


@durable.step("provision")
def provision() -> str:
    say("provision")
    return "node-7"


@durable.step("qualify")
def qualify(node: str) -> bool:
    say("qualify begins")
    if mode == "start":
        time.sleep(120)
    say("qualify ends")
    return True


@durable.step("activate")
def activate(node: str) -> str:
    say("activate")
    return f"{node}:active"


@durable.workflow("test-lease")
def lease() -> str:
    node = provision()
    return activate(node) if qualify(node) else "failed"


if __name__ == "__main__":
    durable.launch(Database.open(where), look_s=0.5)
    if mode == "start":
        durable.start("lease-1", "test-lease")
    say(f"result {durable.result('lease-1', timeout_s=60)}")
    durable.stop()
