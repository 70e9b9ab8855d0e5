"""A provider that does not exist: any fleet, on any clock, with the faults that real providers have.

For tests, demonstrations and an operator's rehearsals. Without faults it keeps the protocol to the letter; with them it
breaks as providers do. `truth` tells what really exists, so that a test can say whether a node was leaked or doubled.
Invariant: nodes, keys and prices change only inside one transaction per call, so a caller killed at any instant leaves
the provider with the call done or not done.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sublet.providers.protocol import (
    Capabilities,
    CapacityWithdrawn,
    Clock,
    Created,
    CreateRequest,
    Declined,
    Found,
    KeyReused,
    Limits,
    NodeFacts,
    NodeRef,
    NodeState,
    PriceChanged,
    Process,
    ProviderOffer,
    ProviderUnavailable,
    Stdio,
    UnknownRef,
    Unsupported,
)
from sublet.providers.simulated_faults import Fault, Target
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.providers.simulated_process import Answer, SimulatedProcess
from sublet.providers.simulated_script import Script
from sublet.providers.simulated_tables import SCHEMA
from sublet.providers.store import Store, money, money_text
from sublet.units import Money

Respond = Callable[[NodeFacts, tuple[str, ...]], Answer]
"""What a command does on a simulated node: the node's facts as delivered and the argv, to status and output."""


@dataclass(frozen=True)
class TrueNode:
    """What really exists at the provider, whatever it answers."""

    ref: str
    node: str
    tag: str
    key: str
    state: NodeState


class SimulatedProvider:
    """See the module. `path` None keeps everything in memory; `respond` answers `execute` (default: status 0)."""

    def __init__(self, fleet: Fleet, clock: Clock, path: Path | None = None, respond: Respond | None = None) -> None:
        self.fleet = fleet
        self.calls: deque[tuple[str, str]] = deque(maxlen=10_000)  # (call, its main argument), for tests
        self._clock = clock
        self._respond = respond or (lambda facts, argv: Answer())
        self._state = Store(SCHEMA, path)
        self._script = Script(self._state)

    @property
    def name(self) -> str:
        """The fleet's name."""
        return self.fleet.name

    def capabilities(self) -> Capabilities:
        """Commands are answered, not run; nothing has to be enforced."""
        return Capabilities(
            executes=True,
            proves_absence=self.fleet.proves_absence,
            ends_at_until=self.fleet.ends_at_until,
            notes=("simulated: no machine exists, commands are answered by a script",),
        )

    def offers(self) -> list[ProviderOffer]:
        """One row per shape with what is left of it."""
        self.calls.append(("offers", ""))
        self._common_faults("offers", Target())
        now = self._now()
        rows = []
        for shape in self.fleet.shapes:
            faults = self._script.strike("offers", Target(shape=shape.name), common=False)
            with self._state.reading() as connection:
                left = 0 if "capacity-withdrawn" in faults else self._left(connection, shape, now)
                price = self._price(connection, shape)
            rows.append(
                ProviderOffer(
                    shape=shape.name,
                    accelerator=shape.accelerator,
                    accelerators_per_node=shape.accelerators_per_node,
                    cpus=shape.cpus,
                    memory_bytes=shape.memory_bytes,
                    nodes_available=left,
                    price_per_node_hour=price,
                    region=shape.region,
                    seen_at=self._clock.now(),
                )
            )
        return rows

    def create(self, request: CreateRequest) -> Created:
        """Protocol; the faults of kind "create" happen here."""
        self.calls.append(("create", request.idempotency_key))
        if not request.nodes or len(set(request.nodes)) != len(request.nodes):
            raise Declined(f"{self.name} makes one node for each of {list(request.nodes)}: name each node id once")
        target = Target(request.tag, request.shape, request.nodes)
        self._common_faults("create", target)
        faults = self._script.strike("create", target, common=False)
        if "timeout-before-create" in faults:
            raise ProviderUnavailable(f"{self.name} did not answer create in time")
        with self._state.transaction() as connection:
            created = self._create(connection, request, faults)
        if "timeout-after-create" in faults:
            raise ProviderUnavailable(f"{self.name} did not answer create in time")
        return created

    def find(self, tag: str) -> Found:
        """Protocol."""
        self.calls.append(("find", tag))
        return self._list("find", "tag = ?", (tag,), tag)

    def inventory(self) -> Found:
        """Protocol."""
        self.calls.append(("inventory", ""))
        return self._list("inventory", "1", (), "")

    def describe(self, ref: str) -> NodeFacts:
        """Protocol; says what was delivered, so a wrong chip shows."""
        self.calls.append(("describe", ref))
        return self._facts(self._known("describe", ref))

    def terminate(self, ref: str) -> None:
        """Protocol."""
        self.calls.append(("terminate", ref))
        with self._state.reading() as connection:
            row = connection.execute("SELECT * FROM nodes WHERE ref = ?", (ref,)).fetchone()
        target = _target(row)
        self._common_faults("terminate", target)
        faults = self._script.strike("terminate", target, common=False)
        if row is not None and "terminate-ignored" not in faults:
            shape = self.fleet.shape(row["shape"])
            with self._state.transaction() as connection:
                connection.execute(
                    "UPDATE nodes SET ended_at = min(coalesce(ended_at, ?1), ?1) WHERE ref = ?2",
                    (self._now() + (shape.terminate_s if shape else 0.0), ref),
                )
        if "timeout-after-terminate" in faults:
            raise ProviderUnavailable(f"{self.name} did not answer terminate in time")

    def execute(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        limits: Limits | None = None,
        stdio: Stdio | None = None,
    ) -> Process:
        """Protocol; the answer comes from `respond`, nothing runs."""
        self.calls.append(("execute", ref))
        if stdio is not None:
            raise Unsupported(f"{self.name} answers commands by a script: it has no interactive shell")
        row = self._known("execute", ref)
        facts = self._facts(row)
        if facts.state != "running":
            raise Declined(f"node {ref} of {self.name} is {facts.state}: a command needs a running node")
        faults = self._script.strike("execute", _target(row), common=False)
        answer = Answer(status=1, errors=b"scripted failure\n")
        if "command-fails" not in faults:
            answer = self._respond(facts, tuple(argv))
        if "command-hangs" in faults:
            answer = replace(answer, seconds=None)
        if limits is not None and limits.seconds is not None:
            over = answer.seconds is None or answer.seconds > limits.seconds
            answer = replace(answer, seconds=limits.seconds, status=-9) if over else answer
        ends_at = None if answer.seconds is None else self._now() + answer.seconds
        with self._state.transaction() as connection:
            number = connection.execute(
                "INSERT INTO commands (ref, argv, ends_at, status, output, errors) VALUES (?, ?, ?, ?, ?, ?)",
                (ref, json.dumps(list(argv)), ends_at, answer.status, answer.output, answer.errors),
            ).lastrowid
        return SimulatedProcess(self._state, self._clock, int(number or 0))

    def processes(self, ref: str) -> tuple[Process, ...]:
        """Protocol."""
        self._known("processes", ref)
        with self._state.reading() as connection:
            rows = connection.execute("SELECT id FROM commands WHERE ref = ? ORDER BY id", (ref,)).fetchall()
        return tuple(SimulatedProcess(self._state, self._clock, row["id"]) for row in rows)

    # --- what a test or a rehearsing operator does

    def script(self, *faults: Fault) -> None:
        """Let these faults happen from now on, in this order where several match one call."""
        self._script.add(faults)

    def clear(self, kind: str = "") -> None:
        """Take faults out of the script: of one kind, or all."""
        self._script.clear(kind)

    def kill_node(self, ref: str, *, vanishes: bool = False) -> None:
        """The node dies now: "failed", or "gone" where it vanishes."""
        with self._state.transaction() as connection:
            connection.execute(
                "UPDATE nodes SET dies_at = ?, vanishes = ? WHERE ref = ?", (self._now(), int(vanishes), ref)
            )

    def truth(self, tag: str | None = None) -> tuple[TrueNode, ...]:
        """What really exists now, gone nodes left out, oldest first."""
        with self._state.reading() as connection:
            rows = connection.execute("SELECT * FROM nodes WHERE ended_at IS NULL OR ended_at > ?", (self._now(),))
            nodes = [
                TrueNode(row["ref"], row["node"], row["tag"], row["key"], self._node_state(row, self._now()))
                for row in rows.fetchall()
            ]
        return tuple(node for node in nodes if node.state != "gone" and tag in (None, node.tag))

    def close(self) -> None:
        """Close the state file."""
        self._state.close()

    # --- inside

    def _create(self, connection: sqlite3.Connection, request: CreateRequest, faults: Mapping[str, Fault]) -> Created:
        asked = json.dumps([request.tag, request.shape, list(request.nodes)])
        known = connection.execute("SELECT request FROM keys WHERE key = ?", (request.idempotency_key,)).fetchone()
        if known is not None:
            if known["request"] != asked:
                raise KeyReused(f"key {request.idempotency_key!r} was used for another request at {self.name}")
            return self._made(connection, request)
        shape = self.fleet.shape(request.shape)
        if shape is None:
            offered = ", ".join(shape.name for shape in self.fleet.shapes) or "nothing"
            raise CapacityWithdrawn(f"{self.name} has no shape {request.shape!r}: it rents {offered}")
        now = self._now()
        left = self._left(connection, shape, now)
        if "capacity-withdrawn" in faults or left < len(request.nodes):
            left = 0 if "capacity-withdrawn" in faults else left
            raise CapacityWithdrawn(
                f"{self.name} has {left} nodes of {shape.name} left, {len(request.nodes)} are needed"
            )
        price = self._price(connection, shape)
        if request.price_limit is not None and price > request.price_limit:
            raise PriceChanged(
                f"{self.name} asks {price} per node-hour of {shape.name}, above {request.price_limit}", price
            )
        count = len(request.nodes)
        if partial := faults.get("partial-gang"):
            count = min(count, partial.count if partial.count is not None else count - 1)
        dying = faults.get("node-dies") or faults.get("node-vanishes")
        wrong, memory, late = faults.get("wrong-chip"), faults.get("less-memory"), faults.get("slow-boot")
        connection.execute("INSERT INTO keys VALUES (?, ?)", (request.idempotency_key, asked))
        for copy in range(2 if "duplicate-create" in faults else 1):
            for position, node in enumerate(request.nodes[:count]):
                dies = (
                    dying is not None
                    and copy == 0
                    and (node == dying.node if dying.node else position < (1 if dying.count is None else dying.count))
                )
                connection.execute(
                    "INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                    (
                        f"sim-{secrets.token_hex(8)}",
                        request.idempotency_key,
                        node,
                        request.tag,
                        shape.name,
                        wrong.value if wrong else shape.accelerator,
                        shape.cpus,
                        shape.memory_bytes * (memory.share if memory else 1.0),
                        money_text(price),
                        now,
                        now + shape.boot_s + (late.seconds if late else 0.0),
                        now + dying.seconds if dying is not None and dies else None,
                        int("node-vanishes" in faults),
                        request.until.timestamp() if request.until else None,
                    ),
                )  # fmt: skip
        return self._made(connection, request)

    def _made(self, connection: sqlite3.Connection, request: CreateRequest) -> Created:
        """What the key made, a node for each asked for, in their order; doubles stay unsaid, as at a real provider."""
        rows = connection.execute("SELECT * FROM nodes WHERE key = ? ORDER BY rowid", (request.idempotency_key,))
        first: dict[str, NodeRef] = {}
        for row in rows.fetchall():
            first.setdefault(row["node"], NodeRef(row["ref"], row["node"], row["tag"]))
        return Created(tuple(first[node] for node in request.nodes if node in first))

    def _list(self, call: str, where: str, values: tuple[str, ...], tag: str) -> Found:
        if self._common_faults(call, Target(tag=tag)):
            return Found((), complete=False)
        faults = self._script.strike(call, Target(tag=tag), common=False)
        if "empty-list" in faults:
            return Found((), complete=False)
        stale = faults.get("stale-list")
        at = self._now() - (stale.seconds if stale else 0.0)
        with self._state.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM nodes WHERE {where} AND created_at <= ? AND (ended_at IS NULL OR ended_at > ?)"  # noqa: S608
                " ORDER BY rowid",
                (*values, at, at),
            ).fetchall()
        nodes = tuple(
            NodeRef(row["ref"], row["node"], row["tag"]) for row in rows if self._node_state(row, at) != "gone"
        )
        return Found(nodes, complete=self.fleet.proves_absence and stale is None)

    def _known(self, call: str, ref: str) -> sqlite3.Row:
        """The node's row, after the faults of a call about one node. Raises UnknownRef, ProviderUnavailable."""
        with self._state.reading() as connection:
            row: sqlite3.Row | None = connection.execute("SELECT * FROM nodes WHERE ref = ?", (ref,)).fetchone()
        if self._common_faults(call, _target(row)) or row is None:
            raise UnknownRef(f"{self.name} knows no node {ref!r}")
        return row

    def _facts(self, row: sqlite3.Row) -> NodeFacts:
        state = self._node_state(row, self._now())
        shape = self.fleet.shape(row["shape"])
        count = shape.accelerators_per_node if shape else 0
        return NodeFacts(
            ref=row["ref"],
            state=state,
            node=row["node"],
            tag=row["tag"],
            shape=row["shape"],
            cpus=row["cpus"],
            memory_bytes=row["memory_bytes"],
            accelerators=(row["accelerator"],) * count,
            address=f"{row['ref']}.simulated.invalid",
            price_per_node_hour=money(row["price"]),
            created_at=dt.datetime.fromtimestamp(row["created_at"], dt.UTC),
            reason="the node died" if state == "failed" else "",
        )

    def _node_state(self, row: sqlite3.Row, at: float) -> NodeState:
        """The state at one instant, from the instants in the row: nothing has to happen for time to pass."""
        ended = row["ended_at"] is not None and at >= row["ended_at"]
        over = self.fleet.ends_at_until and row["until"] is not None and at >= row["until"]
        dead = row["dies_at"] is not None and at >= row["dies_at"]
        if ended or over or (dead and row["vanishes"]):
            return "gone"
        if dead:
            return "failed"
        return "creating" if at < row["ready_at"] else "running"

    def _left(self, connection: sqlite3.Connection, shape: FleetShape, now: float) -> int:
        used: int = connection.execute(
            "SELECT count(*) FROM nodes WHERE shape = ?1 AND (ended_at IS NULL OR ended_at > ?2)"
            " AND NOT (vanishes AND dies_at IS NOT NULL AND dies_at <= ?2)"
            " AND NOT (?3 AND until IS NOT NULL AND until <= ?2)",
            (shape.name, now, self.fleet.ends_at_until),
        ).fetchone()[0]
        return max(0, shape.nodes - used)

    def _price(self, connection: sqlite3.Connection, shape: FleetShape) -> Money:
        row = connection.execute("SELECT price FROM prices WHERE shape = ?", (shape.name,)).fetchone()
        return shape.price_per_node_hour if row is None else money(row["price"])

    def _common_faults(self, call: str, target: Target) -> bool:
        """Faults that any call may meet; True where the endpoint is gone and the caller answers with a 404."""
        faults = self._script.strike(call, target, common=True)
        if slow := faults.get("slow"):
            self._clock.sleep(slow.seconds)
        if changed := faults.get("price-changed"):
            self._reprice(changed)
        if "provider-down" in faults:
            raise ProviderUnavailable(f"{self.name} does not answer {call}")
        if "endpoint-gone" in faults and call in ("create", "offers", "terminate"):
            raise ProviderUnavailable(f"{self.name} answers {call} with 404: its address is gone")
        return "endpoint-gone" in faults

    def _reprice(self, fault: Fault) -> None:
        if fault.price is None:
            return
        names = [shape.name for shape in self.fleet.shapes if fault.shape in ("", shape.name)]
        with self._state.transaction() as connection:
            connection.executemany(
                "INSERT INTO prices VALUES (?, ?) ON CONFLICT (shape) DO UPDATE SET price = excluded.price",
                [(name, money_text(fault.price)) for name in names],
            )

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _target(row: sqlite3.Row | None) -> Target:
    return Target() if row is None else Target(row["tag"], row["shape"], (row["node"],))
