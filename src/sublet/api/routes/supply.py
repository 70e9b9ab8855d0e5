"""Contracts, nodes, capacity, maintenance and the calendar: the operator's side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Changing, Reading, Writing, reply
from sublet.api.models import supply as wire
from sublet.api.models.common import Moment, id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, cut, until
from sublet.api.routes.common import MUTATING, route
from sublet.broker.billing import prices
from sublet.broker.bookings import service as bookings
from sublet.broker.doctor import examine
from sublet.broker.leases import service as leases
from sublet.broker.leases.states import SERVING
from sublet.broker.proving import service as proving
from sublet.broker.supply import service, upkeep
from sublet.broker.tenants.rights import permit
from sublet.providers.protocol import ProviderError

router = APIRouter(tags=["supply"])

Wanted = Annotated[str | None, Query(max_length=200)]


@router.get("/contracts", response_model=wire.ContractPage, **route("supply.read"))
def contracts(call: Reading, provider: Wanted = None, cursor: Cursor = None, limit: Limit = DEFAULT) -> Response:
    """What providers sell us."""

    def page(session: Session) -> BaseModel:
        every = service.contracts(session, provider=provider, actor=call.actor)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.ContractPage(items=[wire.Contract.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/contracts", status_code=201, response_model=wire.Contract, **route("supply.write", *MUTATING))
def add_contract(wish: wire.NewContract, call: Writing) -> Response:
    """Write down a contract; its nodes enter the calendar."""
    return call.write(
        lambda session: wire.Contract.model_validate(
            service.add_contract(
                session,
                provider=wish.provider,
                accelerator=wish.accelerator,
                shape=wish.shape,
                nodes=wish.nodes,
                accelerators_per_node=wish.accelerators_per_node,
                price_per_node_hour=wish.price_per_node_hour.value(),
                start=wish.start,
                end=wish.end,
                region=wish.region,
                tags=wish.tags,
                minimum_node_hours=wish.minimum_node_hours,
                cluster=wish.cluster,
                sold=wish.sold,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/contracts/{contract}", response_model=wire.Contract, **route("supply.read"))
def contract(call: Reading, contract: str = id_path("ctr", "contract")) -> Response:
    """One contract."""
    found = call.read(lambda session: service.contract(session, contract, actor=call.actor))
    return reply(wire.Contract.model_validate(found))


@router.post("/contracts/{contract}/return", response_model=wire.Contract, **route("supply.write", *MUTATING))
def return_contract(wish: wire.Reason, call: Writing, contract: str = id_path("ctr", "contract")) -> Response:
    """Give it back: its nodes take no new bookings, and each goes back when no lease holds it any more."""
    return call.write(
        lambda session: wire.Contract.model_validate(
            upkeep.return_contract(session, contract, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.get("/contracts/{contract}/blocks", response_model=wire.BlockList, **route("supply.read"))
def blocks(call: Reading, contract: str = id_path("ctr", "contract")) -> Response:
    """What was bought under a contract."""

    def every(session: Session) -> BaseModel:
        service.contract(session, contract, actor=call.actor)
        found = service.blocks(session, contract_id=contract, actor=call.actor)
        return wire.BlockList(items=[wire.Block.model_validate(each) for each in found])

    return reply(call.read(every))


@router.post(
    "/contracts/{contract}/blocks", status_code=201, response_model=wire.Block, **route("supply.write", *MUTATING)
)
def add_block(wish: wire.NewBlock, call: Writing, contract: str = id_path("ctr", "contract")) -> Response:
    """Buy more under a contract; the nodes enter the calendar."""
    return call.write(
        lambda session: wire.Block.model_validate(
            service.add_block(
                session,
                contract_id=contract,
                nodes=wish.nodes,
                start=wish.start,
                end=wish.end,
                price_per_node_hour=wish.price_per_node_hour.value() if wish.price_per_node_hour else None,
                cluster=wish.cluster,
                sold=wish.sold,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/contracts/{contract}/position", response_model=wire.Position, **route("supply.read"))
def position(
    call: Reading,
    contract: str = id_path("ctr", "contract"),
    at: Annotated[Moment | None, Query(description="Now, where it is not given.")] = None,
) -> Response:
    """How a contract stands: bought, delivered, reserved, short of what we promised, and its cost."""
    found = call.read(lambda session: service.position(session, contract, at=at or call.now, actor=call.actor))
    return reply(wire.Position.model_validate(found))


@router.get("/nodes", response_model=wire.NodePage, **route("supply.read"))
def nodes(
    call: Reading,
    provider: Wanted = None,
    shape: Wanted = None,
    state: Annotated[wire.NodeState | None, Query()] = None,
    drained: Annotated[bool, Query(description="Only those that drain and that nobody holds any more.")] = False,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """The fleet, node by node."""

    def page(session: Session) -> BaseModel:
        if drained:
            permit(call.actor, "supply.read")
            ready = [
                each
                for each in upkeep.drained(session, now=call.now)
                if provider in (None, each.provider) and shape in (None, each.shape) and state in (None, each.state)
            ]
            these, then = cut(ready, lambda each: each.id, cursor, limit)
            return wire.NodePage(items=[wire.Node.model_validate(each) for each in these], next=then)
        some = service.nodes(
            session, provider=provider, shape=shape, state=state, after=cursor, limit=limit + 1, actor=call.actor
        )
        found, after = until(some, lambda each: each.id, limit)
        return wire.NodePage(items=[wire.Node.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/nodes/{node}", response_model=wire.Node, **route("supply.read"))
def node(call: Reading, node: str = id_path("nod", "node")) -> Response:
    """One node, with its ETag."""
    found = call.read(lambda session: service.node(session, node, actor=call.actor))
    return reply(wire.Node.model_validate(found), tagged=True)


@router.patch("/nodes/{node}", response_model=wire.Node, **route("supply.write", *MUTATING, 412))
def change_node(wish: wire.NodeChange, call: Changing, node: str = id_path("nod", "node")) -> Response:
    """Cordon, drain, mend, return or tag a node. Send If-Match to change only what you have read."""

    def change(session: Session) -> BaseModel:
        permit(call.actor, "supply.write")
        found = service.node(session, node, actor=call.actor)
        call.require(wire.Node.model_validate(found))
        if wish.tags is not None:
            found = service.tag_node(session, node, wish.tags, actor=call.actor, now=call.now)
        if wish.state is not None:
            found = service.set_node(session, node, wish.state, wish.reason, actor=call.actor, now=call.now)
        return wire.Node.model_validate(found)

    return call.write(change, body=wish, tagged=True)


@router.post("/nodes/{node}/outage", status_code=201, response_model=wire.Outage, **route("supply.write", *MUTATING))
def report_outage(wish: wire.NewOutage, call: Writing, node: str = id_path("nod", "node")) -> Response:
    """A node does not work: it is failed, its free time until then is off the market, and who loses it is named."""

    def report(session: Session) -> BaseModel:
        found = upkeep.report_outage(
            session,
            node,
            start=wish.start or call.now,
            until=wish.until,
            reason=wish.reason,
            actor=call.actor,
            now=call.now,
        )
        return wire.Outage.model_validate(found)

    return call.write(report, body=wish, status=201)


@router.get("/nodes/{node}/bookings", response_model=wire.BookingPage, **route("supply.read"))
def node_bookings(
    call: Reading,
    node: str = id_path("nod", "node"),
    after: Annotated[Moment | None, Query(description="That end after this.")] = None,
    before: Annotated[Moment | None, Query(description="That start before this.")] = None,
) -> Response:
    """Who holds a node, when."""

    def page(session: Session) -> BaseModel:
        service.node(session, node, actor=call.actor)
        found = bookings.of_node(session, node_id=node, after=after, before=before)
        return wire.BookingPage(items=[wire.Booking.model_validate(each) for each in found])

    return reply(call.read(page))


@router.post("/nodes/{node}/qualify", response_model=wire.Proof, **route("supply.write", *MUTATING))
def qualify(call: Writing, node: str = id_path("nod", "node")) -> Response:
    """Check a node that nobody holds. It comes out healthy or failed; quotes rest on what was measured."""
    house = call.house

    def act() -> BaseModel:
        found = proving.prove(house.database, house.providers, house.signer, house.clock, node, actor=call.actor)
        return wire.Proof.model_validate(found)

    return call.once(act)


@router.get("/nodes/{node}/proofs", response_model=wire.ProofList, **route("supply.read"))
def proofs(call: Reading, node: str = id_path("nod", "node")) -> Response:
    """What was found of a node whenever it was checked outside of a lease."""
    found = call.read(lambda session: proving.proofs(session, node, actor=call.actor))
    return reply(wire.ProofList(items=[wire.Proof.model_validate(each) for each in found]))


@router.get("/offers", response_model=wire.OfferList, **route("supply.read"))
def offers(call: Reading) -> Response:
    """What the connected providers say can be had now; one that does not answer says why."""
    permit(call.actor, "supply.read")
    items = []
    for name, provider in sorted(call.house.providers.items()):
        said: list[wire.ProviderOffer] = []
        error = ""
        try:
            said = [wire.ProviderOffer.model_validate(each) for each in provider.offers()]
        except ProviderError as refusal:
            error = str(refusal)
        items.append(
            wire.ProviderOffers(
                provider=name,
                offers=said,
                error=error,
                executes=provider.capabilities().executes,
                notes=list(provider.capabilities().notes),
            )
        )
    return reply(wire.OfferList(items=items))


@router.get("/margin-rules", response_model=wire.MarginRuleList, **route("supply.read"))
def margin_rules(call: Reading) -> Response:
    """Every rule by which costs became prices."""
    found = call.read(lambda session: prices.margin_rules(session, actor=call.actor))
    return reply(wire.MarginRuleList(items=[wire.MarginRule.model_validate(each) for each in found]))


@router.post("/margin-rules", status_code=201, response_model=wire.MarginRule, **route("supply.write", *MUTATING))
def set_margin(wish: wire.NewMarginRule, call: Writing) -> Response:
    """A new rule: price = cost x (1 + markup), and not below the floor."""
    return call.write(
        lambda session: wire.MarginRule.model_validate(
            prices.set_margin(
                session,
                markup=wish.markup,
                floor=wish.floor.value() if wish.floor else None,
                accelerator=wish.accelerator,
                starts_at=wish.starts_at,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/doctor", response_model=wire.Examination, **route("doctor.run"))
def doctor(call: Reading) -> Response:
    """Whether what must always hold is true of this broker now."""
    permit(call.actor, "doctor.run")
    checks = examine(call.house.database, providers=call.house.providers, now=call.now)
    return reply(
        wire.Examination(
            at=call.now,
            holds=all(check.holds for check in checks),
            checks=[wire.Check.model_validate(c) for c in checks],
        )
    )


@router.get("/capacity", response_model=wire.CapacityReport, **route("supply.read"))
def capacity(
    call: Reading, at: Annotated[Moment | None, Query(description="Now, where it is not given.")] = None
) -> Response:
    """Delivered, healthy, reserved, in use, free and out, by shape, at an instant."""
    moment = at or call.now

    def report(session: Session) -> BaseModel:
        permit(call.actor, "supply.read")
        serving = {lease.id for lease in leases.running(session) if lease.state in SERVING} if at is None else None
        rows = service.capacity(session, moment, running=serving, actor=call.actor)
        return wire.CapacityReport(at=moment, rows=[wire.Capacity.model_validate(row) for row in rows])

    return reply(call.read(report))


@router.post("/maintenance", status_code=201, response_model=wire.BookingPage, **route("supply.write", *MUTATING))
def plan_maintenance(wish: wire.NewMaintenance, call: Writing) -> Response:
    """Take nodes off the market for a window: all of them, or none where a lease stands in the way."""

    def plan(session: Session) -> BaseModel:
        made = upkeep.plan_maintenance(
            session,
            node_ids=wish.nodes,
            start=wish.start,
            end=wish.end,
            reason=wish.reason,
            actor=call.actor,
            now=call.now,
        )
        return wire.BookingPage(items=[wire.Booking.model_validate(each) for each in made])

    return call.write(plan, body=wish, status=201)


@router.delete("/maintenance/{window}", response_model=wire.BookingPage, **route("supply.write", *MUTATING))
def end_maintenance(call: Writing, window: str = id_path("(?:mnt|out)", "window")) -> Response:
    """Close a window (or an outage) early."""

    def end(session: Session) -> BaseModel:
        upkeep.end_maintenance(session, window, actor=call.actor, now=call.now)
        found = bookings.of_holder(session, holder=window)
        return wire.BookingPage(items=[wire.Booking.model_validate(each) for each in found])

    return call.write(end)
