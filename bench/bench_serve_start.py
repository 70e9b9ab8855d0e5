"""From the start of `sublet serve` to its first answer: CPU-seconds and resident memory (targets 1.5 CPU-s, 150 MB).

The home is one that was started before, so what is measured is a restart; the first answer is that of /readiness, which
asks the database, then one of /v1, which also checks a token.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from _harness import report, sublet

TICKS = os.sysconf("SC_CLK_TCK")
REPEATS = 3


def spent_s(pid: int) -> float:
    """CPU-seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Megabytes of memory that a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS"))


def once(home: str) -> tuple[float, float, float]:
    """CPU-seconds and megabytes at the first answer, and CPU-seconds at the first one that needs a token."""
    environment = {**os.environ, "SUBLET_HOME": home}
    with subprocess.Popen(
        sublet("serve", "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[2].removesuffix("/v1")
        token = json.loads((Path(home) / "tokens.json").read_text(encoding="utf-8"))["tenant"]
        with httpx.Client(base_url=url) as http:
            while True:
                try:
                    http.get("/readiness").raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.01)
            first, memory = spent_s(server.pid), resident_mb(server.pid)
            http.get("/v1/me", headers={"authorization": f"Bearer {token}"}).raise_for_status()
            second = spent_s(server.pid)
        server.terminate()
        server.wait(20)
    return first, memory, second


if __name__ == "__main__":
    with TemporaryDirectory() as home:
        once(home)  # makes the broker
        runs = [once(home) for _ in range(REPEATS)]
    cpu, memory, authenticated = (min(figures) for figures in zip(*runs, strict=True))
    fine = report("serve_start_cpu", cpu, "CPU-s", at_most=1.5, with_a_token=authenticated)
    fine &= report("serve_start_memory", memory, "MB", at_most=150)
    sys.exit(0 if fine else 1)
