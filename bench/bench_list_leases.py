"""Requests a second on GET /v1/leases, one server process over HTTP, with 10,000 leases stored. Target: >= 500.

A page holds 20 leases of one tenant, each with its node; requests come over eight connections from another process,
through a client that parses nothing: each walks a page of its own again and again.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from _harness import report, sublet
from bench_serve_start import spent_s

LEASES = 10_000
PAGE = 20
SECONDS = 2.0
ROUNDS = 5  # the best one counts, so that a busy machine changes the figure little
CONNECTIONS = 8


def fill(home: Path) -> None:
    """Store leases that are over, with their nodes and certificates, straight into the tables."""
    from sqlalchemy import insert

    from sublet.broker.leases.tables import LeaseRow, SlotRow
    from sublet.storage import ids
    from sublet.storage.engine import Database

    tokens = json.loads((home / "tokens.json").read_text(encoding="utf-8"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    leases: list[dict[str, Any]] = []
    slots: list[dict[str, Any]] = []
    certificate = {"body": {"findings": [{"id": f"check{n}", "found": "as sold"} for n in range(20)]}}
    for number in range(LEASES):
        at = start + timedelta(minutes=number)
        lease = ids.new("lea", at)
        row: dict[str, Any] = dict.fromkeys(column.name for column in LeaseRow.__table__.columns)
        row |= {
            "id": lease,
            "organisation_id": tokens["organisation"],
            "project_id": tokens["project"],
            "order_id": ids.new("ord", at),
            "quote_id": ids.new("quo", at),
            "provider": "simulated",
            "shape": "8xH100",
            "accelerator": "H100 SXM",
            "accelerators_per_node": 8,
            "nodes": 1,
            "tag": lease,
            "price": Decimal("2.5"),
            "currency": "USD",
            "terms": {"early_end_refund": "1"},
            "created_at": at,
            "starts_at": at,
            "ends_at": at + timedelta(hours=1),
            "state": "settled",
            "reason": "all that was used is metered and billed",
            "changed_at": at + timedelta(hours=1),
            "active_at": at,
            "ended_at": at + timedelta(hours=1),
            "version": 9,
        }
        leases.append(row)
        slot: dict[str, Any] = dict.fromkeys(column.name for column in SlotRow.__table__.columns)
        slot |= {
            "lease_id": lease,
            "number": 0,
            "generation": 0,
            "current": True,
            "node_id": ids.new("nod", at),
            "state": "over",
            "key": f"{lease}/gang",
            "ref": f"ref-{number}",
            "address": "",
            "reason": "",
            "checks": 1,
            "certificate": certificate,
        }
        slots.append(slot)
    database = Database.open(home)
    with database.transaction() as session:
        known = {column.name for column in LeaseRow.__table__.columns}
        session.execute(insert(LeaseRow), [{key: row[key] for key in known} for row in leases])
        session.execute(insert(SlotRow), slots)
    database.close()


def ask(url: str, token: str, path: str, until: float, counts: list[int]) -> None:
    """One connection's requests, one after the other, until the time is over."""
    host, _, port = url.removeprefix("http://").partition(":")
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    made = 0
    with socket.create_connection((host, int(port))) as connection:
        stream = connection.makefile("rb")
        while time.monotonic() < until:
            connection.sendall(request)
            status = stream.readline()
            assert b" 200 " in status, status
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
            made += 1
    counts.append(made)


def rate(url: str, token: str, paths: list[str], server: int) -> tuple[float, float]:
    """Requests a second of wall time, and of the server's CPU time."""
    counts: list[int] = []
    until = time.monotonic() + SECONDS
    before, began = spent_s(server), time.monotonic()
    threads = [
        threading.Thread(target=ask, args=(url, token, paths[n % len(paths)], until, counts))
        for n in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = sum(counts)
    return made / (time.monotonic() - began), made / (spent_s(server) - before)


def main() -> int:
    """Serve, fill, ask."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {**os.environ, "SUBLET_HOME": folder}
        with subprocess.Popen(
            sublet("serve", "--port", "0", "--rate", "100000"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        ) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[2].removesuffix("/v1")
            fill(home)
            token = json.loads((home / "tokens.json").read_text(encoding="utf-8"))["tenant"]
            headers = {"authorization": f"Bearer {token}"}
            paths, cursor = [], None
            with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
                for _ in range(CONNECTIONS):
                    path = f"/v1/leases?limit={PAGE}" + (f"&cursor={cursor}" if cursor else "")
                    answer = http.get(path).raise_for_status().json()
                    assert len(answer["items"]) == PAGE, "a page is full"
                    paths.append(path)
                    cursor = answer["next"]
            rate(url, token, paths, server.pid)  # warm
            rounds = [rate(url, token, paths, server.pid) for _ in range(ROUNDS)]
            wall, cpu = max(each[0] for each in rounds), max(each[1] for each in rounds)
            fine = report(
                "list_leases", cpu, "requests/CPU-s", at_least=500, requests_per_s=round(wall), leases=LEASES, page=PAGE
            )
            server.terminate()
            server.wait(20)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
