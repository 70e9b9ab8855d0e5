"""Rows to values: the one query that reads nodes with what their block and contract say of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from sublet.broker.supply.tables import BlockRow, ContractRow, NodeRow
from sublet.broker.supply.values import Block, Contract, Node, NodeState
from sublet.units import Money

QUERY = (
    select(
        NodeRow.id,
        NodeRow.block_id,
        BlockRow.contract_id,
        ContractRow.provider,
        ContractRow.accelerator,
        ContractRow.shape,
        ContractRow.accelerators_per_node,
        BlockRow.cluster,
        ContractRow.region,
        NodeRow.state,
        NodeRow.reason,
        NodeRow.state_since,
        NodeRow.tags,
        NodeRow.sold,
        BlockRow.starts_at,
        BlockRow.ends_at,
        BlockRow.price_per_node_hour,
        BlockRow.currency,
        NodeRow.returned_at,
    )
    .join(BlockRow, BlockRow.id == NodeRow.block_id)
    .join(ContractRow, ContractRow.id == BlockRow.contract_id)
    .order_by(NodeRow.id)
)


def kept(at: datetime) -> ColumnElement[bool]:
    return NodeRow.returned_at.is_(None) | (NodeRow.returned_at > at)


def nodes(session: Session, *where: ColumnElement[bool], limit: int | None = None) -> tuple[Node, ...]:
    return tuple(node(row) for row in session.execute(QUERY.where(*where).limit(limit)))


def node(row: Any) -> Node:
    return Node(
        id=row.id,
        block_id=row.block_id,
        contract_id=row.contract_id,
        provider=row.provider,
        accelerator=row.accelerator,
        shape=row.shape,
        accelerators_per_node=row.accelerators_per_node,
        cluster=row.cluster,
        region=row.region,
        state=NodeState(row.state),
        reason=row.reason,
        state_since=row.state_since,
        tags=row.tags,
        sold=row.sold,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        price_per_node_hour=Money(row.price_per_node_hour, row.currency),
    )


def block(row: BlockRow) -> Block:
    return Block(
        row.id,
        row.contract_id,
        row.nodes,
        row.cluster,
        Money(row.price_per_node_hour, row.currency),
        row.starts_at,
        row.ends_at,
        row.created_at,
    )


def contract(row: ContractRow) -> Contract:
    return Contract(
        id=row.id,
        provider=row.provider,
        accelerator=row.accelerator,
        shape=row.shape,
        accelerators_per_node=row.accelerators_per_node,
        price_per_node_hour=Money(row.price_per_node_hour, row.currency),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        region=row.region,
        minimum_node_hours=row.minimum_node_hours,
        tags=row.tags,
        created_at=row.created_at,
        returning_since=row.returning_since,
        return_reason=row.return_reason,
        closed_at=row.closed_at,
    )
