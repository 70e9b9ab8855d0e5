"""Write what `make demo` prints into README.md: the real output on a wide terminal, less what fills a second screen.

.venv/bin/python tools/readme_demo.py
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from marked import replace

COLUMNS, LINES = 210, 13
QUOTE = ("quote", "examples/mpt-30b.yaml", "--limit", "6")
BROKER = ("demo", "broker")
STEPS = re.compile(r"^(?=.{9} \S)[a-z]+ +\S")  # a label, and what it says from the eleventh column on
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


def terminal_output(arguments: tuple[str, ...], columns: int) -> str:
    """What a command writes to a terminal of that width, colours and carriage returns taken out."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    program = str(Path(sys.executable).with_name("sublet"))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    running = subprocess.Popen((program, *arguments), stdout=child, stderr=subprocess.DEVNULL, env=environment)
    os.close(child)
    chunks = []
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(parent)
    if running.wait() != 0:
        raise subprocess.CalledProcessError(running.returncode, arguments)
    text = ESCAPES.sub("", b"".join(chunks).decode())
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))


def block() -> str:
    """The first lines of the quote, and the broker's steps without its receipt, as a Markdown code block."""
    quoted = terminal_output(QUOTE, COLUMNS).strip("\n").split("\n")
    brokered = [line for line in terminal_output(BROKER, COLUMNS).split("\n") if STEPS.match(line)]
    return "\n".join(["```text", "$ make demo", *quoted[:LINES], "...", *brokered, "```"])


if __name__ == "__main__":
    replace("../README.md", "demo", block())
