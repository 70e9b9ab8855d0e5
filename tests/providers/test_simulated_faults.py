"""What each scripted fault does to the caller, and what it really leaves at the provider."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sublet.errors import InputError
from sublet.providers.protocol import (
    CapacityWithdrawn,
    CreateRequest,
    Declined,
    Limits,
    PriceChanged,
    ProviderUnavailable,
    Stdio,
    UnknownRef,
    Unsupported,
)
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import FAULT_KINDS, Fault
from sublet.providers.simulated_fleet import Fleet, FleetShape, read_fleet
from sublet.providers.simulated_process import Answer
from sublet.storage.clock import VirtualClock
from sublet.units import Money

PRICE = Money(Decimal("20.00"))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def provider(clock):
    shape = FleetShape("gpu_8x", 4, PRICE, "H100 SXM", 8, 192, 2e12, boot_s=60.0, terminate_s=30.0)
    provider = SimulatedProvider(Fleet((shape,)), clock)
    yield provider
    provider.close()


def request(*nodes, key="key-1", tag="lease-1", **more):
    return CreateRequest(key, tag, "gpu_8x", nodes or ("nod_1",), **more)


def test_a_timeout_before_create_makes_nothing(provider):
    provider.script(Fault("timeout-before-create"))
    with pytest.raises(ProviderUnavailable):
        provider.create(request())
    assert provider.truth() == ()
    assert len(provider.create(request()).nodes) == 1


def test_a_timeout_after_create_leaves_a_node_that_key_and_tag_lead_to(provider):
    provider.script(Fault("timeout-after-create"))
    with pytest.raises(ProviderUnavailable):
        provider.create(request())
    real = provider.truth()
    assert len(real) == 1
    assert provider.find("lease-1").refs == (real[0].ref,)
    assert provider.create(request()).refs == (real[0].ref,)
    assert provider.truth() == real


def test_a_duplicate_create_names_one_of_two_and_the_tag_finds_both(provider):
    provider.script(Fault("duplicate-create"))
    created = provider.create(request())
    assert len(created.nodes) == 1
    assert len(provider.truth()) == 2
    found = provider.find("lease-1")
    assert len(found.nodes) == 2
    assert created.refs[0] in found.refs
    assert {node.node for node in found.nodes} == {"nod_1"}


@pytest.mark.parametrize(("count", "made"), [(None, 2), (1, 1), (0, 0)])
def test_a_partial_gang_makes_the_first_nodes_only(provider, count, made):
    provider.script(Fault("partial-gang", count=count))
    created = provider.create(request("nod_a", "nod_b", "nod_c"))
    assert [node.node for node in created.nodes] == ["nod_a", "nod_b", "nod_c"][:made]
    assert len(provider.truth()) == made
    assert provider.create(request("nod_a", "nod_b", "nod_c")) == created


def test_an_empty_list_says_nothing_and_proves_nothing(provider):
    provider.create(request())
    provider.script(Fault("empty-list"))
    found = provider.find("lease-1")
    assert found.nodes == ()
    assert found.complete is False
    assert len(provider.find("lease-1").nodes) == 1


def test_a_stale_list_lacks_the_new_and_shows_the_old(provider, clock):
    old = provider.create(request("nod_a", key="key-a")).refs[0]
    clock.advance(100)
    provider.terminate(old)
    clock.advance(31)
    new = provider.create(request("nod_b", key="key-b")).refs[0]
    provider.script(Fault("stale-list", seconds=60))
    assert provider.inventory().refs == (old,)
    assert provider.inventory().refs == (new,)


def test_a_stale_list_is_never_complete(clock):
    provider = SimulatedProvider(Fleet((FleetShape("cpu", 1, PRICE),), proves_absence=True), clock)
    provider.script(Fault("stale-list", seconds=60))
    assert provider.inventory().complete is False
    assert provider.inventory().complete is True
    provider.close()


def test_slow_takes_its_time_on_the_clock_and_answers(provider, clock):
    began = clock.now()
    provider.script(Fault("slow", call="create", seconds=90))
    assert len(provider.create(request()).nodes) == 1
    assert (clock.now() - began).total_seconds() == 90


def test_a_node_dies_when_it_is_told_to(provider, clock):
    provider.script(Fault("node-dies", seconds=3600))
    first, second = provider.create(request("nod_a", "nod_b")).refs
    assert provider.describe(first).state == "creating"
    clock.advance(60)
    assert provider.describe(first).state == "running"
    clock.advance(3540)
    assert provider.describe(first).state == "failed"
    assert provider.describe(first).reason
    assert provider.describe(second).state == "running"
    assert len(provider.find("lease-1").nodes) == 2  # it still costs money until it is taken back


def test_a_node_vanishes_when_it_is_told_to(provider, clock):
    provider.script(Fault("node-vanishes", node="nod_b", seconds=10))
    first, second = provider.create(request("nod_a", "nod_b")).refs
    clock.advance(60)
    assert provider.describe(second).state == "gone"
    assert provider.find("lease-1").refs == (first,)
    assert provider.offers()[0].nodes_available == 3


def test_a_node_can_be_killed_by_hand(provider, clock):
    ref = provider.create(request()).refs[0]
    clock.advance(60)
    provider.kill_node(ref)
    assert provider.describe(ref).state == "failed"


def test_provider_down_answers_nothing_until_it_is_cleared(provider, clock):
    ref = provider.create(request()).refs[0]
    clock.advance(60)
    provider.script(Fault("provider-down", times=None))
    calls = [
        provider.offers,
        provider.inventory,
        lambda: provider.find("lease-1"),
        lambda: provider.describe(ref),
        lambda: provider.terminate(ref),
        lambda: provider.create(request(key="key-2")),
        lambda: provider.execute(ref, ["true"]),
        lambda: provider.processes(ref),
    ]
    for call in calls * 2:
        with pytest.raises(ProviderUnavailable):
            call()
    provider.clear()
    assert provider.describe(ref).state == "running"
    assert len(provider.truth()) == 1


def test_an_endpoint_that_is_gone_says_404_and_the_nodes_live_on(provider):
    ref = provider.create(request()).refs[0]
    provider.script(Fault("endpoint-gone", times=None))
    found = provider.find("lease-1")
    assert (found.nodes, found.complete) == ((), False)
    with pytest.raises(UnknownRef):
        provider.describe(ref)
    with pytest.raises(ProviderUnavailable):
        provider.create(request(key="key-2"))
    with pytest.raises(ProviderUnavailable):
        provider.terminate(ref)
    assert len(provider.truth()) == 1


def test_a_wrong_chip_and_less_memory_are_in_the_facts(provider):
    provider.script(Fault("wrong-chip", value="A100 SXM 80GB"), Fault("less-memory", share=0.75))
    facts = provider.describe(provider.create(request()).refs[0])
    assert facts.accelerators == ("A100 SXM 80GB",) * 8
    assert facts.memory_bytes == 1.5e12


def test_a_changed_price_stays_changed_and_is_declined_above_the_limit(provider):
    dear = Money(Decimal("31.50"))
    provider.script(Fault("price-changed", price=dear))
    with pytest.raises(PriceChanged) as declined:
        provider.create(request(price_limit=PRICE))
    assert declined.value.price == dear
    assert provider.truth() == ()
    assert provider.offers()[0].price_per_node_hour == dear
    facts = provider.describe(provider.create(request(price_limit=dear)).refs[0])
    assert facts.price_per_node_hour == dear


def test_withdrawn_capacity_is_declined_and_the_key_stays_free(provider):
    provider.script(Fault("capacity-withdrawn", call="create"))
    with pytest.raises(CapacityWithdrawn):
        provider.create(request())
    assert provider.truth() == ()
    assert len(provider.create(request()).nodes) == 1


def test_terminate_ignored_leaves_the_node(provider, clock):
    ref = provider.create(request()).refs[0]
    provider.script(Fault("terminate-ignored"))
    provider.terminate(ref)
    clock.advance(3600)
    assert provider.describe(ref).state == "running"
    provider.terminate(ref)
    assert provider.describe(ref).state == "running"  # it takes thirty seconds
    clock.advance(30)
    assert provider.describe(ref).state == "gone"


def test_a_timeout_after_terminate_took_the_node_back(provider, clock):
    ref = provider.create(request()).refs[0]
    provider.script(Fault("timeout-after-terminate"))
    with pytest.raises(ProviderUnavailable):
        provider.terminate(ref)
    clock.advance(30)
    assert provider.truth() == ()


def test_a_second_terminate_does_not_put_the_end_off(provider, clock):
    ref = provider.create(request()).refs[0]
    provider.terminate(ref)
    clock.advance(29)
    provider.terminate(ref)
    clock.advance(1)
    assert provider.describe(ref).state == "gone"


def test_slow_boot_keeps_a_node_creating(provider, clock):
    provider.script(Fault("slow-boot", seconds=600))
    ref = provider.create(request()).refs[0]
    clock.advance(659)
    assert provider.describe(ref).state == "creating"
    with pytest.raises(Declined):
        provider.execute(ref, ["true"])
    clock.advance(1)
    assert provider.describe(ref).state == "running"


def test_skip_and_times_count_matching_calls(provider):
    provider.script(Fault("empty-list", skip=1, times=2, tag="lease-1"))
    provider.create(request())
    provider.create(request("nod_2", key="key-2", tag="lease-2"))
    assert len(provider.find("lease-2").nodes) == 1
    assert [len(provider.find("lease-1").nodes) for _ in range(4)] == [1, 0, 0, 1]


def test_a_fault_nobody_knows_is_refused():
    with pytest.raises(InputError, match="is no fault"):
        Fault("gremlins")
    with pytest.raises(InputError, match="does not happen on"):
        Fault("empty-list", call="create")
    with pytest.raises(InputError, match="needs a price"):
        Fault("price-changed")
    with pytest.raises(InputError, match="needs a value"):
        Fault("wrong-chip")


def test_every_kind_is_told_about_in_words():
    assert all(kind.effect and kind.calls for kind in FAULT_KINDS.values())


def test_until_ends_the_node_where_the_provider_does_that(clock):
    provider = SimulatedProvider(Fleet((FleetShape("cpu", 1, PRICE),), ends_at_until=True), clock)
    request = CreateRequest("key", "tag", "cpu", ("nod_1",), until=clock.now())
    ref = provider.create(request).refs[0]
    assert provider.describe(ref).state == "gone"
    assert provider.offers()[0].nodes_available == 1
    provider.close()


def test_commands_run_on_the_clock_and_end_with_their_node(clock):
    answers = {"quick": Answer(0, b"done\n", b""), "long": Answer(0, b"late\n", b"", seconds=100.0)}
    provider = SimulatedProvider(Fleet((FleetShape("cpu", 2, PRICE),)), clock, respond=lambda _, argv: answers[argv[0]])
    ref = provider.create(CreateRequest("key", "tag", "cpu", ("nod_1",))).refs[0]
    quick, slow = provider.execute(ref, ["quick"]), provider.execute(ref, ["long"])
    assert (quick.poll(), quick.output(), quick.output(2, 2)) == (0, b"done\n", b"ne")
    assert slow.poll() is None
    assert slow.wait(40) is None
    assert slow.wait(70) == 0
    third = provider.execute(ref, ["long"], limits=Limits(seconds=5))
    assert third.wait() == -9
    fourth = provider.execute(ref, ["long"])
    provider.terminate(ref)
    assert fourth.poll() == -9
    assert [process.poll() for process in provider.processes(ref)] == [0, 0, -9, -9]
    provider.close()


def test_commands_hang_and_fail_by_script(provider, clock):
    ref = provider.create(request()).refs[0]
    clock.advance(60)
    provider.script(Fault("command-hangs"), Fault("command-fails", skip=1))
    hanging = provider.execute(ref, ["probe"])
    assert hanging.wait(1000) is None
    hanging.kill()
    assert hanging.poll() == -9
    assert provider.execute(ref, ["probe"]).poll() == 1
    with pytest.raises(Unsupported):
        provider.execute(ref, ["bash"], stdio=Stdio(0, 1, 2))


def test_the_file_keeps_nodes_faults_and_prices_for_the_next_process(tmp_path, clock):
    fleet = Fleet((FleetShape("cpu", 2, PRICE),))
    first = SimulatedProvider(fleet, clock, tmp_path / "provider.db")
    ref = first.create(CreateRequest("key", "tag", "cpu", ("nod_1",))).refs[0]
    first.script(Fault("price-changed", price=Money(Decimal(9), "EUR")), Fault("empty-list"))
    second = SimulatedProvider(fleet, clock, tmp_path / "provider.db")
    assert second.offers()[0].price_per_node_hour == Money(Decimal(9), "EUR")
    assert second.find("tag").nodes == ()
    assert first.find("tag").refs == (ref,)
    first.close()
    second.close()


def test_a_fleet_is_read_from_a_file(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(
        'name = "rehearsal"\n[[shape]]\nname = "p5"\nnodes = 4\nprice_per_node_hour = "98.32 USD"\n'
        'accelerator = "H100 SXM"\naccelerators_per_node = 8\ncpus = 192\nmemory = "2TiB"\nboot = "3 min"\n'
    )
    fleet = read_fleet(path)
    assert fleet.name == "rehearsal"
    assert fleet.shapes[0] == FleetShape(
        "p5", 4, Money(Decimal("98.32")), "H100 SXM", 8, 192.0, 2 * 2.0**40, boot_s=180.0
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[shape]]\nname = 1\n", "has no nodes"),
        ('[[shape]]\nname = "a"\nnodes = -1\nprice_per_node_hour = "1 USD"', "not a count"),
        ('[[shape]]\nname = "a"\nnodes = 1\nprice_per_node_hour = "0 USD"', "above zero"),
        ('[[shape]]\nname = "a"\nnodes = 1\nprice_per_node_hour = "1 USD"\n' * 2, "twice"),
        ('[[shape]]\ncolour = "red"', "no key 'colour'"),
        ("[[shape]", "not TOML"),
    ],
)
def test_a_bad_fleet_file_is_one_sentence_that_names_it(tmp_path, text, sentence):
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as refused:
        read_fleet(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value).replace(str(path), "").split("(")[0]
