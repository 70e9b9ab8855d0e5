"""The nodes of one pool (one site, one shape) and how they hang together: nodes in leaves, leaves in pods.

A pool is laid out as a grid of rows: every leaf has the same number of rows, every pod the same number of leaves, and
what a leaf or a pod lacks is padding that is never free. So a leaf is a slice, and counts per leaf are a reshape.

Invariant: row = leaf * width + place in the leaf; leaves of a pod are neighbours; the order is that of the ids (pod,
leaf, node), so that the same nodes give the same layout whatever order they come in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from sublet.errors import InputError

_EVEN = 8  # rows of a leaf are padded to a multiple of this


@dataclass(frozen=True, slots=True)
class Node:
    """A node, the leaf switch that it hangs on, the pod of that leaf, and its tags (what an ask may require)."""

    node_id: str
    leaf: str = "leaf"
    pod: str = "pod"
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Pool:
    """The layout of a pool; made by `pool_of`.

    `width` rows per leaf, `pod_leaves` leaves per pod, padding included; `real` bool (rows,); `ids` object (rows,), ""
    in the padding; `leaf_size` int32 (leaves,), the real nodes of each leaf.
    """

    nodes: tuple[Node, ...]
    width: int
    pod_leaves: int
    real: NDArray[np.bool_]
    ids: NDArray[np.object_]
    leaf_size: NDArray[np.int32]
    row_of: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows, padding included."""
        return len(self.real)

    @property
    def leaves(self) -> int:
        """Leaves, padding included."""
        return len(self.leaf_size)

    @property
    def largest_leaf(self) -> int:
        """Real nodes of the largest leaf: what a gang in one leaf cannot pass."""
        return int(self.leaf_size.max(initial=0))

    @property
    def largest_pod(self) -> int:
        """Real nodes of the largest pod."""
        return int(self.leaf_size.reshape(-1, self.pod_leaves).sum(axis=1).max(initial=0))

    def rows_of(self, node_ids: Iterable[str]) -> NDArray[np.intp]:
        """Rows of these nodes; InputError names one that the pool does not have."""
        try:
            return np.array([self.row_of[node_id] for node_id in node_ids], dtype=np.intp)
        except KeyError as missing:
            raise InputError(f"node {missing.args[0]!r} is not in this pool of {len(self.nodes)} nodes") from None

    def tagged(self, tags: Collection[str]) -> NDArray[np.bool_] | None:
        """Rows (bool) of the nodes that carry all of `tags`; None where nothing is required."""
        if not tags:
            return None
        wanted = frozenset(tags)
        rows = np.zeros(self.rows, dtype=np.bool_)
        rows[[self.row_of[node.node_id] for node in self.nodes if wanted <= node.tags]] = True
        return rows


def pool_of(nodes: Iterable[Node]) -> Pool:
    """The layout of these nodes; InputError where there is none, or where an id comes twice."""
    ordered = tuple(sorted(nodes, key=lambda node: (node.pod, node.leaf, node.node_id)))
    if not ordered:
        raise InputError("a pool needs at least one node")
    pods = [
        [list(of_leaf) for _, of_leaf in groupby(of_pod, key=lambda node: node.leaf)]
        for _, of_pod in groupby(ordered, key=lambda node: node.pod)
    ]
    pod_leaves = max(map(len, pods))
    widest = max(len(leaf) for pod in pods for leaf in pod)
    width = -(-widest // _EVEN) * _EVEN
    leaf_size = np.zeros(len(pods) * pod_leaves, dtype=np.int32)
    ids = np.full(len(leaf_size) * width, "", dtype=object)
    row_of: dict[str, int] = {}
    for at_pod, pod in enumerate(pods):
        for leaf, members in enumerate(pod, start=at_pod * pod_leaves):
            leaf_size[leaf] = len(members)
            for row, node in enumerate(members, start=leaf * width):
                ids[row] = node.node_id
                if row_of.setdefault(node.node_id, row) != row:
                    raise InputError(f"node {node.node_id!r} is in the pool twice")
    return Pool(ordered, width, pod_leaves, ids != "", ids, leaf_size, row_of)


def even_pool(count: int, leaf: int = 16, pod: int = 128) -> Pool:
    """`count` nodes n000000.., in leaves of `leaf` and pods of `pod` nodes: a pool wired by its sizes."""
    if count < 1 or leaf < 1 or pod < leaf:
        raise InputError(f"{count} nodes in leaves of {leaf} and pods of {pod} is not a pool: give 1 <= leaf <= pod")
    return pool_of(Node(f"n{at:06d}", f"l{at // leaf:06d}", f"p{at // pod:06d}") for at in range(count))
