"""The contract of every provider adapter, as tests that any adapter can run.

Make a class in a test file of your own, inherit `ProviderContract`, give it a fixture `subject`:

    class TestMine(ProviderContract):
        @pytest.fixture
        def subject(self):
            yield Subject(provider=MyProvider(...), shape="gpu_8x", again=lambda: MyProvider(...))

What an adapter cannot do it says in `capabilities()`, and the test about it asks for the honest refusal instead.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sublet.providers.protocol import (
    NODE_STATES,
    CapacityWithdrawn,
    CreateRequest,
    Declined,
    KeyReused,
    PriceChanged,
    Provider,
    UnknownRef,
    Unsupported,
)
from sublet.units import Money


@dataclass(frozen=True)
class Subject:
    """The adapter under test. It has room for at least two nodes of `shape` at a time."""

    provider: Provider
    shape: str
    again: Callable[[], Provider]  # another object on the same supply, as after a restart of the broker
    patience_s: float = 10.0  # how long a node may take to come or go


def request(subject: Subject, *nodes: str, key: str = "key-1", tag: str = "lease-1", **more) -> CreateRequest:
    return CreateRequest(idempotency_key=key, tag=tag, shape=subject.shape, nodes=nodes or ("nod_1",), **more)


def until_state(subject: Subject, ref: str, state: str) -> str:
    """The node's state once it is `state`, or what it is when patience ends."""
    end = time.monotonic() + subject.patience_s
    while True:
        seen = subject.provider.describe(ref).state
        if seen == state or time.monotonic() > end:
            return seen
        time.sleep(0.01)


class ProviderContract:
    """One test per promise of `sublet.providers.protocol`."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, subject):
        """After every test: what is terminated is gone, and nothing is left behind."""
        yield
        for found in (subject.provider.inventory(), subject.again().inventory()):
            for node in found.nodes:
                subject.provider.terminate(node.ref)
        for node in subject.provider.inventory().nodes:
            assert until_state(subject, node.ref, "gone") == "gone"
        assert subject.provider.inventory().refs == ()

    def test_is_a_provider(self, subject):
        assert isinstance(subject.provider, Provider)
        assert subject.provider.name

    def test_offers_name_the_shape_and_no_price_is_zero(self, subject):
        offers = {offer.shape: offer for offer in subject.provider.offers()}
        assert subject.shape in offers
        for offer in offers.values():
            assert offer.price_per_node_hour is None or offer.price_per_node_hour.amount > 0
            assert offer.nodes_available is None or offer.nodes_available >= 0
            assert offer.cpus > 0
            assert offer.memory_bytes > 0

    def test_create_makes_one_tagged_node_for_each_asked_for(self, subject):
        created = subject.provider.create(request(subject, "nod_a", "nod_b"))
        assert [node.node for node in created.nodes] == ["nod_a", "nod_b"]
        assert {node.tag for node in created.nodes} == {"lease-1"}
        assert len(set(created.refs)) == 2
        for node in created.nodes:
            assert until_state(subject, node.ref, "running") == "running"
            facts = subject.provider.describe(node.ref)
            assert (facts.node, facts.tag, facts.shape) == (node.node, "lease-1", subject.shape)

    def test_the_same_key_makes_nothing_new(self, subject):
        first = subject.provider.create(request(subject, "nod_a", "nod_b"))
        assert subject.provider.create(request(subject, "nod_a", "nod_b")) == first
        assert sorted(subject.provider.inventory().refs) == sorted(first.refs)

    def test_the_same_key_makes_nothing_new_after_a_restart(self, subject):
        first = subject.provider.create(request(subject))
        assert subject.again().create(request(subject)) == first
        assert subject.provider.inventory().refs == first.refs

    def test_the_same_key_at_once_from_many_threads_makes_one_node(self, subject):
        made, start = [], threading.Barrier(8)

        def create():
            start.wait()
            made.append(subject.provider.create(request(subject)))

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({created.refs for created in made}) == 1
        assert len(made) == 8
        assert len(subject.provider.inventory().nodes) == 1

    def test_a_key_is_not_lent_to_another_request(self, subject):
        subject.provider.create(request(subject, "nod_a"))
        with pytest.raises(KeyReused):
            subject.provider.create(request(subject, "nod_b"))
        with pytest.raises(KeyReused):
            subject.provider.create(request(subject, "nod_a", tag="lease-2"))
        assert len(subject.provider.inventory().nodes) == 1

    def test_the_same_key_after_the_end_makes_no_second_node(self, subject):
        first = subject.provider.create(request(subject))
        subject.provider.terminate(first.refs[0])
        assert until_state(subject, first.refs[0], "gone") == "gone"
        assert subject.provider.create(request(subject)).refs == first.refs
        assert subject.provider.find("lease-1").refs == ()

    def test_another_key_under_the_tag_makes_another_node_with_a_name_of_its_own(self, subject):
        first = subject.provider.create(request(subject))
        subject.provider.terminate(first.refs[0])
        assert until_state(subject, first.refs[0], "gone") == "gone"
        second = subject.provider.create(request(subject, key="key-2"))
        assert second.refs != first.refs

    def test_nodes_are_found_by_tag_and_only_those(self, subject):
        one = subject.provider.create(request(subject, "nod_a"))
        two = subject.provider.create(request(subject, "nod_b", key="key-2", tag="lease-2"))
        assert subject.provider.find("lease-1").nodes == one.nodes
        assert subject.again().find("lease-2").nodes == two.nodes
        assert subject.provider.find("lease").nodes == ()
        assert sorted(subject.again().inventory().refs) == sorted(one.refs + two.refs)

    def test_an_empty_answer_is_no_proof_unless_the_adapter_says_so(self, subject):
        found = subject.provider.find("no-such-lease")
        assert found.nodes == ()
        assert found.complete is subject.provider.capabilities().proves_absence

    def test_terminate_may_be_repeated(self, subject):
        ref = subject.provider.create(request(subject)).refs[0]
        subject.provider.terminate(ref)
        subject.provider.terminate(ref)
        assert until_state(subject, ref, "gone") == "gone"
        subject.again().terminate(ref)
        assert subject.provider.describe(ref).state == "gone"
        assert subject.provider.find("lease-1").nodes == ()

    def test_terminate_ends_one_node_of_a_gang(self, subject):
        created = subject.provider.create(request(subject, "nod_a", "nod_b"))
        subject.provider.terminate(created.refs[0])
        assert until_state(subject, created.refs[0], "gone") == "gone"
        assert subject.provider.find("lease-1").nodes == (created.nodes[1],)

    def test_an_unknown_ref_is_refused_where_it_is_asked_about_and_ignored_where_it_is_ended(self, subject):
        for ref in ("no-such-node", "../../etc", ""):
            with pytest.raises(UnknownRef):
                subject.provider.describe(ref)
            subject.provider.terminate(ref)

    def test_an_unknown_shape_is_declined_and_makes_nothing(self, subject):
        with pytest.raises(CapacityWithdrawn):
            subject.provider.create(CreateRequest("key-1", "lease-1", "no-such-shape", ("nod_a",)))
        assert subject.provider.inventory().nodes == ()

    def test_more_than_there_is_is_declined_whole(self, subject):
        offer = next(offer for offer in subject.provider.offers() if offer.shape == subject.shape)
        if offer.nodes_available is None:
            pytest.skip("the adapter does not say how much there is")
        many = tuple(f"nod_{number}" for number in range(offer.nodes_available + 1))
        with pytest.raises(CapacityWithdrawn):
            subject.provider.create(request(subject, *many))
        assert subject.provider.inventory().nodes == ()

    def test_a_declined_key_may_be_tried_again(self, subject):
        offer = next(offer for offer in subject.provider.offers() if offer.shape == subject.shape)
        if offer.nodes_available is None or offer.nodes_available > 64:
            pytest.skip("the adapter has too much to fill, or does not say")
        everything = tuple(f"nod_{number}" for number in range(offer.nodes_available))
        full = subject.provider.create(request(subject, *everything, key="key-full", tag="lease-full"))
        with pytest.raises(CapacityWithdrawn):
            subject.provider.create(request(subject))
        for ref in full.refs:
            subject.provider.terminate(ref)
        for ref in full.refs:
            assert until_state(subject, ref, "gone") == "gone"
        assert len(subject.provider.create(request(subject)).nodes) == 1

    def test_a_node_id_twice_or_none_is_declined(self, subject):
        with pytest.raises(Declined):
            subject.provider.create(CreateRequest("key-1", "lease-1", subject.shape, ()))
        with pytest.raises(Declined):
            subject.provider.create(request(subject, "nod_a", "nod_a"))
        assert subject.provider.inventory().nodes == ()

    def test_a_price_above_the_limit_is_declined(self, subject):
        offer = next(offer for offer in subject.provider.offers() if offer.shape == subject.shape)
        if offer.price_per_node_hour is None:
            pytest.skip("the adapter does not say what it costs")
        limit = Money(offer.price_per_node_hour.amount / 2, offer.price_per_node_hour.currency)
        with pytest.raises(PriceChanged) as declined:
            subject.provider.create(request(subject, price_limit=limit))
        assert declined.value.price == offer.price_per_node_hour
        assert subject.provider.inventory().nodes == ()

    def test_facts_are_states_of_the_protocol_and_within_the_offer(self, subject):
        ref = subject.provider.create(request(subject)).refs[0]
        assert until_state(subject, ref, "running") == "running"
        facts, offer = subject.provider.describe(ref), subject.provider.offers()[0]
        assert facts.state in NODE_STATES
        assert facts.cpus is None or facts.cpus == offer.cpus
        assert facts.accelerators is None or len(facts.accelerators) == offer.accelerators_per_node
        assert facts.created_at is None or facts.created_at.tzinfo is not None

    def test_commands_run_or_are_honestly_unsupported(self, subject):
        ref = subject.provider.create(request(subject)).refs[0]
        assert until_state(subject, ref, "running") == "running"
        argv = [sys.executable, "-c", "print('hello')"]
        if not subject.provider.capabilities().executes:
            with pytest.raises(Unsupported):
                subject.provider.execute(ref, argv)
            return
        process = subject.provider.execute(ref, argv)
        assert process.wait(subject.patience_s) == 0
        assert process.argv == tuple(argv)
        assert isinstance(process.note(), str)
        assert [(known.id, known.poll()) for known in subject.again().processes(ref)] == [(process.id, 0)]

    def test_a_command_on_a_node_that_is_gone_is_declined(self, subject):
        ref = subject.provider.create(request(subject)).refs[0]
        subject.provider.terminate(ref)
        assert until_state(subject, ref, "gone") == "gone"
        with pytest.raises(Declined):
            subject.provider.execute(ref, [sys.executable, "-c", ""])
        with pytest.raises(Declined):
            subject.provider.execute("no-such-node", [sys.executable, "-c", ""])
