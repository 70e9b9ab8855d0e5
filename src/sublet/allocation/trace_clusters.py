"""Pools by name, to replay traces on: a table with a source for each row, read at the edge of the room.

Invariant: a name is found as it stands in the table, or refused with the names that are there.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from sublet.errors import InputError

_TABLE = Path(__file__).with_name("data") / "clusters.csv"


@dataclass(frozen=True)
class Cluster:
    """A homogeneous pool: `capacity` in units ("node" or "slot"), and where the figure comes from."""

    name: str
    unit: str
    capacity: int
    gpus_per_node: int
    gpu_model: str
    source: str


def known_clusters() -> tuple[Cluster, ...]:
    """Every pool of the table, in its order."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Cluster(
                row["name"],
                row["unit"],
                int(row["capacity"]),
                int(row["gpus_per_node"]),
                row["gpu_model"],
                row["source"],
            )
            for row in csv.DictReader(file)
        )


def find_cluster(name: str) -> Cluster:
    """The pool of that name; InputError with the names there are."""
    clusters = known_clusters()
    for cluster in clusters:
        if cluster.name == name:
            return cluster
    raise InputError(f"there is no cluster {name!r}: give one of {', '.join(entry.name for entry in clusters)}")
