"""This machine as one or more nodes: slices of its cores and memory, commands that end with the lease.

What keeps a slice in its bounds depends on the system and is said plainly by `capabilities()`: control groups where
they are handed down to us, else core affinity and limits per process. Nodes, keys and tags live in a file below `root`,
commands in directories beside it, so the broker may die at any instant and a new one goes on.
Invariant: a slice belongs to at most one node that is not gone (the table's own index guards it), and a node is gone
only when no process of it is left.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sublet.errors import InputError
from sublet.providers.local_cgroup import Groups, find_groups, leave, remove_group
from sublet.providers.local_process import LocalProcess, command_environment, commands, start
from sublet.providers.local_reap import MARK, boot_id, end_all
from sublet.providers.local_supply import LocalSupply, Slice, slices, usable_cores, usable_memory
from sublet.providers.protocol import (
    Capabilities,
    CapacityWithdrawn,
    Clock,
    Created,
    CreateRequest,
    Declined,
    Enforcement,
    Found,
    KeyReused,
    Limits,
    NodeFacts,
    NodeRef,
    NodeState,
    PriceChanged,
    ProviderOffer,
    ProviderUnavailable,
    Stdio,
    UnknownRef,
)
from sublet.providers.store import Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    ref TEXT PRIMARY KEY, key TEXT NOT NULL, node TEXT NOT NULL, tag TEXT NOT NULL, slice INTEGER NOT NULL,
    cores TEXT NOT NULL, memory_bytes INTEGER NOT NULL, cgroup TEXT, boot_id TEXT NOT NULL, created_at REAL NOT NULL,
    ending INTEGER NOT NULL DEFAULT 0, ended_at REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_node_per_slice ON nodes (slice) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS nodes_by_tag ON nodes (tag);
CREATE INDEX IF NOT EXISTS nodes_by_key ON nodes (key);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, request TEXT NOT NULL)
"""

_AUTOMATIC = "automatic"


class LocalProvider:
    """See the module. `root` is a directory of its own; `groups` is found unless given (None: do without)."""

    name = "local"

    def __init__(
        self, root: Path, supply: LocalSupply, clock: Clock, *, groups: Groups | str | None = _AUTOMATIC
    ) -> None:
        if sys.platform != "linux":
            raise InputError(f"this machine runs {sys.platform}: its cores can be lent under Linux alone")
        self.supply = supply
        self._root = root.resolve()
        self._clock = clock
        self._slices = slices(supply, usable_cores(), usable_memory())
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(f"{root} cannot be the local provider's directory: {error.strerror}") from None
        self._store = Store(_SCHEMA, self._root / "nodes.db")
        self._groups = find_groups("sublet") if isinstance(groups, str) else groups

    def capabilities(self) -> Capabilities:
        """What is enforced here and how; nothing is called hard, for commands run as the broker's own user."""
        controllers = self._groups.controllers if self._groups else frozenset()
        own = "a command that fights it can undo it: it runs as the broker's own user"
        cpus, memory = "sched_setaffinity", "RLIMIT_DATA"
        return Capabilities(
            executes=True,
            proves_absence=True,
            enforcement=(
                Enforcement("cpus", f"cgroup v2 cpu.max and {cpus}" if "cpu" in controllers else cpus, False, own),
                Enforcement(
                    "memory",
                    "cgroup v2 memory.max" if "memory" in controllers else memory,
                    False,
                    own if "memory" in controllers else "per process: several processes may together exceed the slice",
                ),
                Enforcement(
                    "processes",
                    "cgroup v2 cgroup.kill, tree and environment mark" if self._groups else "tree and environment mark",
                    False,
                    own
                    if self._groups
                    else "a daemon that clears its environment and kills its supervisor is not found at the end",
                ),
                Enforcement("disk", "not enforced", False, "the lease's directory shares this machine's disk"),
                Enforcement("network", "not enforced", False, "the lease shares this machine's network"),
            ),
            notes=(
                "commands run as the broker's own user and can read what the broker can: lend only to people you trust",
                "a node is lost when this machine restarts",
            ),
        )

    def offers(self) -> list[ProviderOffer]:
        """The one shape of this machine."""
        with self._store.reading() as connection:
            left = len(self._free(connection))
        return [
            ProviderOffer(
                shape=self.supply.shape,
                accelerator=self.supply.accelerator,
                accelerators_per_node=self.supply.accelerators_per_node,
                cpus=float(len(self._slices[0].cores)),
                memory_bytes=float(self._slices[0].memory_bytes),
                nodes_available=left,
                price_per_node_hour=self.supply.price_per_node_hour,
                seen_at=self._clock.now(),
            )
        ]

    def create(self, request: CreateRequest) -> Created:
        """Protocol: takes free slices, the lowest first."""
        if not request.nodes or len(set(request.nodes)) != len(request.nodes):
            raise Declined(f"local makes one node for each of {list(request.nodes)}: name each node id once")
        with self._store.transaction() as connection:
            return self._create(connection, request)

    def find(self, tag: str) -> Found:
        """Protocol: the answer is complete, for the file is the truth."""
        return self._list("tag = ?", (tag,))

    def inventory(self) -> Found:
        """Protocol, likewise complete."""
        return self._list("1", ())

    def describe(self, ref: str) -> NodeFacts:
        """Protocol: "failed" for a node from before this machine restarted."""
        row = self._row(ref)
        lost = row["boot_id"] != boot_id()
        state: NodeState = "running"
        reason = ""
        if row["ended_at"] is not None:
            state = "gone"
        elif lost:
            state, reason = "failed", "this machine restarted since the node was made"
        elif row["ending"]:
            reason = "it is being ended"
        cores = json.loads(row["cores"])
        return NodeFacts(
            ref=ref,
            state=state,
            node=row["node"],
            tag=row["tag"],
            shape=self.supply.shape,
            cpus=float(len(cores)),
            memory_bytes=float(row["memory_bytes"]),
            accelerators=(self.supply.accelerator,) * self.supply.accelerators_per_node,
            address="127.0.0.1",
            price_per_node_hour=self.supply.price_per_node_hour,
            created_at=dt.datetime.fromtimestamp(row["created_at"], dt.UTC),
            reason=reason,
            details={"home": str(self._home(ref)), "cores": ",".join(map(str, cores))},
        )

    def terminate(self, ref: str) -> None:
        """Protocol: ends every process, then wipes the lease's files; its logs stay. Blocks until that is done."""
        with self._store.transaction() as connection:
            row = connection.execute("SELECT * FROM nodes WHERE ref = ?", (ref,)).fetchone()
            if row is None or row["ended_at"] is not None:
                return
            connection.execute("UPDATE nodes SET ending = 1 WHERE ref = ?", (ref,))  # from here on nothing starts
        group = Path(row["cgroup"]) if row["cgroup"] else None
        roots = [root for process in self._commands(ref) if (root := process.supervisor()) is not None]
        left = end_all(ref, roots, group)
        if left:
            raise ProviderUnavailable(f"node {ref} of this machine cannot be ended: processes {left} do not die")
        if group is not None:
            remove_group(group)
        for directory in (self._home(ref), self._directory(ref) / "tmp"):
            shutil.rmtree(directory, ignore_errors=True)
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE nodes SET ended_at = ? WHERE ref = ? AND ended_at IS NULL",
                (self._clock.now().timestamp(), ref),
            )

    def execute(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        limits: Limits | None = None,
        stdio: Stdio | None = None,
    ) -> LocalProcess:
        """Protocol: in the slice, with HOME and a directory for temporary files of the lease's own."""
        facts = self.describe(ref)
        if facts.state != "running":
            raise Declined(f"node {ref} of this machine is {facts.state}: a command needs a running node")
        home, limits = self._home(ref), limits or Limits()
        for directory in (home, self._directory(ref) / "tmp"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if cwd and not (home / cwd).is_dir():
            raise Declined(f"there is no folder {cwd!r} in the lease's directory: make it first")
        with self._store.transaction() as connection:  # held while it starts: a node that is being ended starts nothing
            row = connection.execute("SELECT * FROM nodes WHERE ref = ?", (ref,)).fetchone()
            if row["ending"] or row["ended_at"] is not None:
                raise Declined(f"node {ref} of this machine is being ended")
            cores = json.loads(row["cores"])
            cores = cores[: max(1, int(limits.cpus))] if limits.cpus is not None else cores
            memory = min(row["memory_bytes"], limits.memory_bytes or row["memory_bytes"])
            own = {
                MARK: ref,
                "SUBLET_NODE": row["node"],
                "SUBLET_LEASE": row["tag"],
                "SUBLET_CPUS": str(len(cores)),
                "SUBLET_MEMORY_BYTES": str(memory),
                "OMP_NUM_THREADS": str(len(cores)),
                "OPENBLAS_NUM_THREADS": str(len(cores)),
                "MKL_NUM_THREADS": str(len(cores)),
            }
            return start(
                self._directory(ref) / "commands",
                argv,
                env=command_environment({**own, **(env or {}), MARK: ref}, home),
                cwd=home / cwd if cwd else home,
                cores=cores,
                rlimits=self._rlimits(memory, limits),
                cgroup=self._group(row),
                limits=limits,
                stdio=stdio,
            )

    def processes(self, ref: str) -> tuple[LocalProcess, ...]:
        """Protocol; also those of a node that is gone, for their logs stay."""
        self._row(ref)
        return self._commands(ref)

    def close(self) -> None:
        """Close the file of nodes; commands go on."""
        self._store.close()
        if self._groups is not None:
            leave(self._groups)

    # --- inside

    def _create(self, connection: sqlite3.Connection, request: CreateRequest) -> Created:
        asked = json.dumps([request.tag, request.shape, list(request.nodes)])
        known = connection.execute("SELECT request FROM keys WHERE key = ?", (request.idempotency_key,)).fetchone()
        if known is not None:
            if known["request"] != asked:
                raise KeyReused(f"key {request.idempotency_key!r} was used for another request on this machine")
            rows = connection.execute("SELECT * FROM nodes WHERE key = ? ORDER BY rowid", (request.idempotency_key,))
            return Created(tuple(_node(row) for row in rows.fetchall()))
        if request.shape != self.supply.shape:
            raise CapacityWithdrawn(f"this machine has no shape {request.shape!r}: it rents {self.supply.shape}")
        price = self.supply.price_per_node_hour
        if request.price_limit is not None and price is not None and price > request.price_limit:
            raise PriceChanged(f"this machine costs {price} per node-hour, above {request.price_limit}", price)
        free = self._free(connection)
        if len(free) < len(request.nodes):
            raise CapacityWithdrawn(f"this machine has {len(free)} nodes left, {len(request.nodes)} are needed")
        connection.execute("INSERT INTO keys VALUES (?, ?)", (request.idempotency_key, asked))
        made = []
        for node, part in zip(request.nodes, free, strict=False):
            made.append(NodeRef(f"local-{secrets.token_hex(8)}", node, request.tag))
            connection.execute(
                "INSERT INTO nodes (ref, key, node, tag, slice, cores, memory_bytes, cgroup, boot_id, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    made[-1].ref,
                    request.idempotency_key,
                    node,
                    request.tag,
                    part.number,
                    json.dumps(part.cores),
                    part.memory_bytes,
                    str(self._groups.base / made[-1].ref) if self._groups else None,
                    boot_id(),
                    self._clock.now().timestamp(),
                ),
            )
        return Created(tuple(made))

    def _free(self, connection: sqlite3.Connection) -> list[Slice]:
        """Slices that no node holds, and whose cores none holds from an earlier cut of the machine."""
        rows = connection.execute("SELECT slice, cores FROM nodes WHERE ended_at IS NULL").fetchall()
        taken = {row["slice"] for row in rows}
        cores = {core for row in rows for core in json.loads(row["cores"])}
        return [part for part in self._slices if part.number not in taken and not cores & set(part.cores)]

    def _list(self, where: str, values: tuple[str, ...]) -> Found:
        with self._store.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM nodes WHERE {where} AND ended_at IS NULL ORDER BY rowid",  # noqa: S608
                values,
            ).fetchall()
        return Found(tuple(_node(row) for row in rows), complete=True)

    def _row(self, ref: str) -> sqlite3.Row:
        with self._store.reading() as connection:
            row: sqlite3.Row | None = connection.execute("SELECT * FROM nodes WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            raise UnknownRef(f"this machine knows no node {ref!r}")
        return row

    def _group(self, row: sqlite3.Row) -> Path | None:
        """The node's control group, made where it is not there yet; None where the system takes it away from us."""
        if self._groups is None or row["cgroup"] is None:
            return None
        memory, cores = row["memory_bytes"], len(json.loads(row["cores"]))
        try:
            return self._groups.make(
                row["ref"], cpus=cores, memory_bytes=memory, processes=self.supply.processes_per_node
            )
        except OSError as error:
            raise ProviderUnavailable(f"the control group of node {row['ref']} cannot be made: {error}") from None

    def _rlimits(self, memory_bytes: int, limits: Limits) -> dict[str, int]:
        by_group = self._groups is not None and "memory" in self._groups.controllers and limits.memory_bytes is None
        return {"RLIMIT_CORE": 0} | ({} if by_group else {"RLIMIT_DATA": memory_bytes})

    def _commands(self, ref: str) -> tuple[LocalProcess, ...]:
        return commands(self._directory(ref) / "commands")

    def _home(self, ref: str) -> Path:
        return self._directory(ref) / "home"

    def _directory(self, ref: str) -> Path:
        return self._root / "nodes" / ref


def _node(row: sqlite3.Row) -> NodeRef:
    return NodeRef(row["ref"], row["node"], row["tag"])
