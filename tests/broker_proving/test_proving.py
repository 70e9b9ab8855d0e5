"""Proving a node: what it comes out as, what stands afterwards, and what is left of it where the prover died."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from sublet.broker.audit import log
from sublet.broker.billing import prices
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Forbidden
from sublet.broker.leases import orphans
from sublet.broker.proving import procedure, recovery, service
from sublet.broker.proving.procedure import Ground
from sublet.broker.proving.tables import ProvingRow
from sublet.broker.quoting.shelf import shelf
from sublet.broker.supply import service as supply
from sublet.broker.supply.values import NodeState
from sublet.broker.tenants.values import Actor
from sublet.providers.protocol import CreateRequest
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import Fault
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.qualification.certificate import load_signer, verify
from sublet.qualification.rehearsal import RATES, respond
from sublet.storage.engine import Database
from sublet.units import Money

OPERATOR = Actor("user", "usr_operator", None, None, "operator")
AUDITOR = Actor("user", "usr_auditor", None, None, "auditor")
TENANT = Actor("user", "usr_tenant", "org_t", None, "admin")
PRICE = Money(Decimal(16))


class House:
    """Two nodes of one contract at a simulated provider, and words for what a test does with them."""

    def __init__(self, database: Database, clock, folder, **terms) -> None:
        shape = FleetShape(
            "8xh100", 2, PRICE, accelerator="H100 SXM", accelerators_per_node=8, cpus=64, memory_bytes=1e12, **terms
        )
        self.rates = dict(RATES)
        self.provider = SimulatedProvider(
            Fleet((shape,)), clock, respond=lambda facts, argv: respond(facts, argv, self.rates)
        )
        self.database, self.clock, self.signer = database, clock, load_signer(folder)
        self.ground = Ground(database, {self.provider.name: self.provider}, self.signer, clock)
        with database.transaction() as session:
            supply.add_contract(
                session,
                provider=self.provider.name,
                accelerator="H100 SXM",
                shape="8xh100",
                nodes=2,
                accelerators_per_node=8,
                price_per_node_hour=PRICE,
                start=clock.now(),
                end=clock.now() + timedelta(days=60),
                sold={"cpus": 64, "memory_bytes": 1e12},
                actor=OPERATOR,
                now=clock.now(),
            )
            self.first, self.second = (node.id for node in supply.nodes(session))

    def prove(self, node=None, actor=OPERATOR):
        on = self.ground
        return service.prove(on.database, on.providers, on.signer, on.clock, node or self.first, actor=actor)

    def set(self, state):
        with self.database.transaction() as session:
            supply.set_node(session, self.first, state, "because", actor=OPERATOR, now=self.clock.now())

    def state(self, node=None):
        with self.database.reading() as session:
            return supply.node(session, node or self.first).state

    def held(self):
        with self.database.reading() as session:
            return bookings.of_node(session, node_id=self.first, after=self.clock.now())

    def begin(self, *, durably=False):
        """What a prover leaves that dies after the node was made."""
        with self.database.transaction() as session:
            window = service._begin(session, self.ground, self.first, durably, OPERATOR, self.clock.now())
        assert "ref" in procedure.make(self.ground, window)
        return window

    def open_(self):
        with self.database.reading() as session:
            return session.scalar(select(func.count()).where(ProvingRow.finished_at.is_(None)))


@pytest.fixture
def house(database, clock, tmp_path):
    return House(database, clock, tmp_path)


@pytest.fixture
def one(sqlite_database, clock, tmp_path):
    return House(sqlite_database, clock, tmp_path)


def test_a_good_node_comes_out_healthy_with_a_signed_proof_and_nothing_is_left(house):
    proof = house.prove()
    assert proof.verdict == "pass"
    assert proof.measured["gemm_fp32_flops"] == RATES["gemm_fp32"]
    assert verify(proof.certificate, house.signer.public_key)
    assert (proof.certificate["body"]["node"], proof.certificate["body"]["lease"]) == (house.first, "")
    assert (house.state(), house.state(house.second)) == (NodeState.HEALTHY, NodeState.DELIVERED)
    assert not house.provider.truth()
    assert not house.held()
    assert house.open_() == 0
    with house.database.reading() as session:
        assert service.proofs(session, house.first, actor=AUDITOR) == (proof,)
        acts = [entry.action for entry in log.entries(session, actor=OPERATOR)]
    assert acts[-4:] == ["maintenance.plan", "maintenance.end", "node.healthy", "node.prove"]


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Fault("wrong-chip", value="A100 SXM 40GB"), "identity"),
        (Fault("less-memory", share=0.5), "memory.size"),
    ],
)
def test_a_node_that_is_not_what_was_sold_fails_and_takes_no_bookings(house, fault, check):
    house.provider.script(fault)
    proof = house.prove()
    assert proof.verdict == "critical"
    assert check in proof.reason
    assert house.state() is NodeState.FAILED
    assert not house.provider.truth()
    with house.database.reading() as session:
        assert not supply.node(session, house.first).is_open


def test_what_cannot_be_told_changes_nothing(one):
    one.provider.script(Fault("command-hangs", times=None))
    assert one.prove().verdict == "unknown"
    assert one.state() is NodeState.DELIVERED


def test_a_provider_that_does_not_answer_is_a_conflict_and_the_node_is_free_again(one):
    one.provider.script(Fault("provider-down", times=None))
    with pytest.raises(Conflict, match="could not be measured"):
        one.prove()
    assert one.state() is NodeState.DELIVERED
    assert not one.held()
    assert one.open_() == 0


def test_an_answer_that_was_lost_is_asked_for_again_and_makes_no_second_node(one):
    one.provider.script(Fault("timeout-after-create"))
    assert one.prove().verdict == "pass"
    with one.provider._state.reading() as connection:
        assert connection.execute("SELECT count(*) FROM nodes").fetchone()[0] == 1


def test_an_empty_list_hides_no_node_that_is_to_be_given_back(one):
    one.provider.script(Fault("empty-list", times=None))
    one.prove()
    assert not one.provider.truth()


def test_a_node_that_boots_is_waited_for(sqlite_database, clock, tmp_path):
    slow = House(sqlite_database, clock, tmp_path, boot_s=90, terminate_s=5)
    assert slow.prove().verdict == "pass"
    assert not slow.provider.truth()


def test_a_node_that_never_boots_is_not_proved(sqlite_database, clock, tmp_path):
    slow = House(sqlite_database, clock, tmp_path, boot_s=10_000)
    assert slow.prove().verdict != "pass"
    assert slow.state() is not NodeState.HEALTHY
    assert not slow.provider.truth()


@pytest.mark.parametrize("state", [NodeState.CORDONED, NodeState.DRAINING, NodeState.MAINTENANCE, NodeState.FAILED])
def test_what_the_operator_took_off_the_market_stays_off_it_however_well_it_does(one, state):
    one.set(state)
    assert one.prove().verdict == "pass"
    assert one.state() is state


def test_a_cordoned_node_that_is_no_good_fails(one):
    one.set(NodeState.CORDONED)
    one.provider.script(Fault("wrong-chip", value="A100 SXM 40GB"))
    one.prove()
    assert one.state() is NodeState.FAILED


def test_a_leased_node_is_not_measured(house):
    now = house.clock.now()
    with house.database.transaction() as session:
        bookings.book(session, holder="lea_1", node_ids=[house.first], start=now, end=now + timedelta(hours=1), now=now)
    with pytest.raises(Conflict, match=house.first):
        house.prove()
    assert house.open_() == 0
    assert not house.provider.truth()


@pytest.mark.parametrize("who", [AUDITOR, TENANT])
def test_only_the_operator_proves(one, who):
    with pytest.raises(Forbidden):
        one.prove(actor=who)


def test_a_node_of_a_provider_that_is_not_connected_says_so(one):
    one.ground.providers.clear()
    with pytest.raises(Conflict, match="connected are none"):
        one.prove()


# --- what a prover that died left -------------------------------------------------------------------------------------


def test_a_node_that_is_being_measured_is_no_orphan_and_one_that_was_left_is(one):
    window = one.begin()
    with one.database.reading() as session:
        nodes = one.provider.inventory().nodes
        assert [node.tag for node in nodes] == [window]
        assert orphans.unwanted(session, one.provider.name, nodes, one.clock.now()) == {}
        later = one.clock.now() + service.WINDOW
        (found,) = orphans.unwanted(session, one.provider.name, nodes, later).values()
        assert found == (window, f"maintenance window {window} is over", True)


@pytest.mark.parametrize("durably", [False, True])
def test_what_nobody_resumes_is_cleaned_up_after_its_time(house, durably):
    house.begin(durably=durably)
    assert recovery.resume(house.ground) == 0, "somebody may be at work"
    assert len(house.provider.truth()) == 1
    house.clock.advance(service.WINDOW + recovery.LATE)
    assert recovery.resume(house.ground) == 1
    assert not house.provider.truth()
    assert (house.open_(), house.state()) == (0, NodeState.DELIVERED)
    assert recovery.resume(house.ground) == 0
    with house.database.reading() as session:
        entry = log.entries(session, actor=OPERATOR, target=house.first)[-1]
    assert (entry.action, entry.outcome) == ("node.prove", "failed")
    assert house.prove().verdict == "pass"


def test_after_the_window_nothing_is_made_or_measured(one):
    window = one.begin()
    one.clock.advance(service.WINDOW)
    assert "error" in procedure.make(one.ground, window)
    assert "error" in procedure.measure(one.ground, window, "any")


def test_a_node_that_went_back_meanwhile_stays_back(one):
    window = one.begin()
    ref = one.provider.truth()[0].ref
    found = procedure.measure(one.ground, window, ref)
    one.set(NodeState.RETURNED)
    assert "proof" in procedure.write_down(one.ground, window, found)
    assert one.state() is NodeState.RETURNED


def test_what_is_written_down_is_written_once(house):
    window = house.begin()
    found = procedure.measure(house.ground, window, house.provider.truth()[0].ref)
    once = procedure.write_down(house.ground, window, found)
    assert procedure.write_down(house.ground, window, {"error": "another worker came to nothing"}) == once
    with house.database.reading() as session:
        assert [proof.id for proof in service.proofs(session, house.first, actor=OPERATOR)] == [once["proof"]]


# --- what quotes rest on ----------------------------------------------------------------------------------------------


def test_a_quote_rests_on_the_slowest_node_by_its_newest_proof(house):
    with house.database.transaction() as session:
        prices.set_margin(session, markup=Decimal("0.2"), actor=OPERATOR, now=house.clock.now())

    def measured():
        with house.database.reading() as session:
            (sale,) = shelf(session, now=house.clock.now())
            return sale.measured and sale.measured["gemm_fp32_flops"]

    assert measured() is None, "nobody measured anything yet"
    house.prove(house.first)
    house.rates["gemm_fp32"] = 0.95e12
    house.prove(house.second)
    assert measured() == 0.95e12
    house.rates["gemm_fp32"] = 0.97e12
    house.clock.advance(60)
    house.prove(house.second)
    assert measured() == 0.97e12, "its older proof no longer counts"


def test_a_proof_that_was_not_accepted_is_no_ground_for_a_quote(one):
    one.provider.script(Fault("wrong-chip", value="A100 SXM 40GB"))
    one.prove()
    with one.database.reading() as session:
        assert service.slowest(session, [one.first]) is None
        assert service.slowest(session, []) is None


def test_a_request_of_the_same_window_makes_the_same_node(one):
    """The ground of it all: the provider keeps its word on keys."""
    window = one.begin()
    request = CreateRequest(f"{window}/proof", window, "8xh100", (one.first,))
    assert one.provider.create(request).refs == one.provider.find(window).refs
