"""`sublet serve --workers 2` on PostgreSQL, really run: both answer, either drives a lease, and one may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from api_kit import key

FLEET = """
[[shape]]
name = "8xH100"
nodes = 8
price_per_node_hour = "16 USD"
accelerator = "H100 SXM"
accelerators_per_node = 8
boot = "2 s"
"""
PATIENCE_S = 60


class Served:
    """A running `sublet serve` and what it was asked."""

    def __init__(self, home, database):
        self.home = home
        (home / "fleet.toml").write_text(FLEET)
        (home / "providers.toml").write_text('[simulated]\nfleet = "fleet.toml"\n')
        self.log = (home / "stderr").open("w+")
        self.process = subprocess.Popen(
            [
                Path(sys.executable).with_name("sublet"),
                "serve",
                "--port",
                "0",
                "--workers",
                "2",
                "--database",
                database,
            ],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "SUBLET_HOME": str(home)},
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[2].removesuffix("/v1")
        self.tokens = json.loads((home / "tokens.json").read_text())

    def ask(self, method, path, body=None, who="operator", headers=None):
        """An answer on a connection of its own, so that any worker may take it; (document, the worker's process)."""
        mine = {"authorization": f"Bearer {self.tokens[who]}", **(headers or {})}
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with httpx.Client(base_url=self.url, headers=mine, timeout=20, trust_env=False, verify=False) as http:
                    answer = http.request(method, path, json=body)
                break
            except httpx.TransportError:
                assert time.monotonic() < until, "nobody answers"
                assert self.process.poll() is None, (self.home / "stderr").read_text()
                time.sleep(0.05)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json(), answer.headers["x-request-id"]

    def workers(self):
        """Which process answered which request, from the access log."""
        found = {}
        for line in (self.home / "stderr").read_text().splitlines():
            if line.startswith("{") and "duration_ms" in (entry := json.loads(line)):
                found[entry["request_id"]] = entry["pid"]
        return found

    def until(self, path, wanted):
        """Ask until the document is as wanted."""
        until = time.monotonic() + PATIENCE_S
        while True:
            document, _ = self.ask("GET", path)
            if wanted(document):
                return document
            assert time.monotonic() < until, document
            time.sleep(0.2)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.log.close()


@pytest.fixture
def served(postgres, tmp_path):
    database = postgres.create()
    made = Served(tmp_path, database)
    yield made
    made.stop()
    postgres.drop(database)


def answered(served, enough):
    """The workers' processes that have answered something, once they are enough."""
    until = time.monotonic() + PATIENCE_S
    while not enough(pids := {*served.workers().values()}):
        assert time.monotonic() < until, f"only {pids} answer"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: served.ask("GET", "/v1/me"), range(16)))
    return pids


def test_two_workers_serve_one_broker_and_one_killed_loses_nothing(served):
    both = answered(served, lambda pids: len(pids) == 2)
    start = datetime.now(UTC) - timedelta(hours=1)
    contract = {
        "provider": "simulated",
        "accelerator": "H100 SXM",
        "shape": "8xH100",
        "nodes": 4,
        "accelerators_per_node": 8,
        "price_per_node_hour": {"amount": "16", "currency": "USD"},
        "start": start.isoformat(),
        "end": (start + timedelta(days=300)).isoformat(),
    }
    served.ask("POST", "/v1/contracts", contract)
    wish = {"project": served.tokens["project"], "machines": {"shape": "8xH100", "nodes": 1, "hours": "2"}}

    def order(_):
        """One order, its lease and the worker that took it; sent twice under one key, as a careful client does."""
        quote = served.ask("POST", "/v1/quotes", wish, "tenant")[0]["quotes"][0]["id"]
        mine = key()
        first, request = served.ask("POST", "/v1/orders", {"quote": quote}, "tenant", mine)
        again, _ = served.ask("POST", "/v1/orders", {"quote": quote}, "tenant", mine)
        assert first == again
        return first["lease_id"], request

    with ThreadPoolExecutor(2) as pool:
        placed = list(pool.map(order, range(2)))
    victim = served.workers()[placed[0][1]]  # the one that took the first order, in the middle of driving it
    os.kill(victim, signal.SIGKILL)
    placed.append(order(None))
    for lease, _ in placed:
        served.until(f"/v1/leases/{lease}", lambda found: found["state"] == "active")
    answered(served, lambda pids: pids - both)  # a worker that is gone is made anew
    leases = served.ask("GET", "/v1/leases", who="tenant")[0]["items"]
    assert sorted(each["id"] for each in leases) == sorted(lease for lease, _ in placed)
    nodes = [member["node_id"] for each in leases for member in each["members"]]
    assert len(nodes) == len({*nodes}) == 3
    refs = {member["ref"] for each in leases for member in each["members"]}
    assert len(refs) == 3
    for lease, _ in placed:
        served.ask("POST", f"/v1/leases/{lease}/end", {}, "tenant", key())
    for lease, _ in placed:
        served.until(f"/v1/leases/{lease}", lambda found: found["state"] == "settled")
    examined = served.ask("GET", "/v1/doctor")[0]
    assert examined["holds"], [each for each in examined["checks"] if not each["holds"]]
    assert served.ask("GET", "/v1/audit/verify")[0]["broken_at"] is None
