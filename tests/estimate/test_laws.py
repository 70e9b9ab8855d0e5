"""What must hold of every step and every byte, whatever the constants: nothing faster makes a step slower, what is not
used costs nothing, traffic hides at most once."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from estimate_cases import corpus, job, machine, options  # type: ignore[import-not-found]
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.catalog.accelerators import accelerators
from sublet.estimate import communication
from sublet.estimate.calibration import shipped, uncalibrated
from sublet.estimate.inputs import Options
from sublet.estimate.physics import physics
from sublet.estimate.plan import EDGE_PENALTY, plan
from sublet.estimate.result import Estimate, Rejection

QUESTIONS, ASKED = corpus(23, 600)
FOUND = ASKED.evaluate()
SLACK = 1e-9  # rounding, as a share of the step

RATES = ("memory_rate", "peak", "peak_attention", "link", "nic", "host_link", "gemm", "attention", "memory")
DELAYS = ("link_latency", "nic_latency", "launch")
examples = settings(max_examples=30, deadline=None)
factors = st.floats(1.001, 50.0)


def seconds(name, found=FOUND):
    return np.broadcast_to(found.parts[name], found.step_s.shape)


def never_slower(after, before=FOUND):
    worst = np.argmax(after.step_s / before.step_s)
    assert after.step_s[worst] <= before.step_s[worst] * (1 + SLACK), QUESTIONS[worst]


# ---- faster is never slower ------------------------------------------------------------------------------------------


@examples
@given(fields=st.sets(st.sampled_from(RATES), min_size=1), factor=factors)
def test_a_higher_rate_never_makes_a_step_slower(fields, factor):
    never_slower(ASKED.with_(**{name: getattr(ASKED.machine, name) * factor for name in fields}).evaluate())


@examples
@given(fields=st.sets(st.sampled_from(DELAYS), min_size=1), factor=factors)
def test_a_shorter_delay_never_makes_a_step_slower(fields, factor):
    never_slower(ASKED.with_(**{name: getattr(ASKED.machine, name) / factor for name in fields}).evaluate())


@examples
@given(share=st.floats(0.0, 1.0), name=st.sampled_from(("overlap_tp", "overlap_dp")))
def test_more_overlap_never_makes_a_step_slower(share, name):
    some = ASKED.with_(**{name: share * getattr(ASKED.options, name)}).evaluate()
    never_slower(FOUND, some)


@pytest.mark.parametrize("field", [*RATES, *DELAYS])
def test_every_rate_and_delay_matters_somewhere(field):
    better = 2.0 if field in RATES else 0.5
    after = ASKED.with_(**{field: getattr(ASKED.machine, field) * better}).evaluate()
    assert np.any(after.step_s < FOUND.step_s * (1 - 1e-6))


# ---- what is not used costs nothing ----------------------------------------------------------------------------------

UNUSED = {
    "tensor-parallel traffic": ASKED.layout.tp == 1,
    "context-parallel traffic": ASKED.layout.cp == 1,
    "expert-parallel traffic": ASKED.layout.ep == 1,
    "pipeline traffic": ASKED.layout.pp == 1,
    "pipeline bubble": ASKED.layout.pp == 1,
    "data-parallel traffic": ASKED.layout.dp * ASKED.layout.cp == 1,
    "recomputation": (ASKED.options.full_recompute == 0)
    & ((ASKED.options.selective_recompute == 0) | (ASKED.work.fused_attention == 1)),
    "stragglers": ASKED.layout.chips / ASKED.layout.pp <= np.maximum(ASKED.machine.node, ASKED.machine.domain),
}


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_not_used_costs_nothing_and_what_is_used_costs_something(name):
    unused = UNUSED[name]
    assert 0 < unused.sum() < len(unused)
    assert np.all(seconds(name)[unused] == 0.0)
    assert np.all(seconds(name)[~unused] > 0.0)


def test_one_chip_talks_to_nobody():
    alone = ASKED.with_(tp=1, cp=1, pp=1, vp=1, ep=1, dp=1, count=1, node=1, domain=1)
    slow = alone.with_(link=1.0, nic=1.0, link_latency=1e6, nic_latency=1e6)
    np.testing.assert_array_equal(slow.evaluate().step_s, alone.evaluate().step_s)


# ---- parts and bounds ------------------------------------------------------------------------------------------------


def test_the_parts_of_a_step_sum_to_it_and_none_is_negative():
    total = sum(np.broadcast_to(part, FOUND.step_s.shape) for part in FOUND.parts.values())
    np.testing.assert_allclose(total, FOUND.step_s, rtol=1e-9)
    for name in FOUND.parts:
        assert np.all(seconds(name) >= -SLACK * FOUND.step_s), name


finite = st.floats(0.0, 1e3)


@settings(deadline=None)
@given(traffic=finite, more=finite, window=st.floats(-1e3, 1e3), wider=finite, share=st.floats(0.0, 1.0))
def test_exposed_traffic_lies_between_nothing_and_all_of_it(traffic, more, window, wider, share):
    def exposed(traffic, window):
        return float(communication.exposed(np.asarray(traffic), np.asarray(window), np.asarray(share), physics()))

    here = exposed(traffic, window)
    room = 1e-9 * (1 + traffic + more)
    assert 0.0 <= here <= traffic
    assert exposed(traffic + more, window) >= here - room
    assert exposed(traffic, window + wider) <= here + room
    # computing longer never pays: the window hides less than it takes
    assert exposed(traffic, max(window, 0) + wider) + wider >= exposed(traffic, max(window, 0)) - room
    assert exposed(traffic, -abs(window)) == traffic


@pytest.mark.parametrize("name", ["tensor", "context", "expert", "data"])
def test_what_is_exposed_is_never_more_than_the_time_on_the_network(name):
    bare = ASKED.with_(overlap_tp=0, overlap_dp=0).evaluate()
    part = f"{name}-parallel traffic"
    assert np.all(seconds(part) <= seconds(part, bare) * (1 + SLACK))
    assert np.any(seconds(part) < seconds(part, bare) * 0.99)


def test_traffic_hides_once_however_many_kinds_there_are():
    """Compute is a lower bound that no overlap gets under, and hidden traffic of a microbatch fits into its passes."""
    free = replace(physics(), contention=0.0)
    keen = replace(ASKED, machine=replace(ASKED.machine, overlap_dp=np.ones_like(ASKED.machine.peak)))
    found, bare = (keen.with_(overlap_dp=flag).evaluate(free) for flag in (1, 0))
    layer_parts = ("matrix multiplication", "attention", "elementwise", "kernel launches", "recomputation")
    passes = sum(seconds(name, found) for name in layer_parts)
    hidden = sum(
        seconds(name, bare) - seconds(name, found) for name in ("data-parallel traffic", "context-parallel traffic")
    )
    assert np.all(hidden <= passes * (1 + SLACK))
    assert np.any(hidden > 0.5 * passes)


# ---- batch and scale -------------------------------------------------------------------------------------------------


def test_a_step_is_affine_in_its_microbatches():
    per = ASKED.layout.dp * ASKED.layout.micro
    one, two, three = (ASKED.with_(batch=k * per).evaluate().step_s for k in (1, 2, 3))
    np.testing.assert_allclose(three - two, two - one, rtol=1e-6)
    assert np.all(two > one)


def test_more_replicas_with_as_much_work_each_compute_as_long_and_wait_no_less():
    twice = ASKED.with_(dp=2 * ASKED.layout.dp, batch=2 * ASKED.work.batch).evaluate()
    for name in ("matrix multiplication", "attention", "elementwise", "recomputation", "logits and loss"):
        np.testing.assert_allclose(seconds(name, twice), seconds(name), rtol=1e-12)
    assert np.all(seconds("stragglers", twice) >= seconds("stragglers") * (1 - SLACK))
    grouped = ASKED.options.hsdp > 0
    assert np.all((seconds("data-parallel traffic", twice) >= seconds("data-parallel traffic") * (1 - SLACK))[~grouped])


# ---- memory savers ---------------------------------------------------------------------------------------------------

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def test_recomputing_more_layers_takes_longer_and_keeps_less():
    found = [ASKED.with_(full_recompute=share).evaluate() for share in SHARES]
    for less, more in pairwise(found):
        assert np.all(more.step_s > less.step_s)
        assert np.all(more.memory.activations <= less.memory.activations * (1 + SLACK))
    assert np.all(found[-1].memory.activations < found[0].memory.activations * 1.000001)
    deep = ASKED.work.layers / ASKED.layout.pp >= 8
    assert np.all((found[-1].memory.activations < 0.8 * found[0].memory.activations)[deep])


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_recomputing_the_one_layer_of_a_stage_never_needs_more_than_keeping_it(share):
    single = ASKED.with_(pp=ASKED.work.layers, vp=1, batch=ASKED.layout.dp * ASKED.layout.micro)
    kept, again = (single.with_(full_recompute=flag).evaluate().memory for flag in (0, share))
    assert np.all(again.activations <= kept.activations * (1 + SLACK))


def test_selective_recomputation_costs_time_and_saves_scores_where_attention_is_unfused():
    none, selective = (ASKED.with_(selective_recompute=flag, full_recompute=0).evaluate() for flag in (0, 1))
    fused = ASKED.work.fused_attention == 1
    np.testing.assert_array_equal(selective.step_s[fused], none.step_s[fused])
    np.testing.assert_array_equal(selective.memory.total[fused], none.memory.total[fused])
    assert np.all(selective.step_s[~fused] > none.step_s[~fused])
    assert np.all(selective.memory.activations[~fused] < none.memory.activations[~fused])


def sharded(name):
    one: Options = options(name)
    return ASKED.with_(zero=one.zero, hsdp=one.hsdp).evaluate().memory


def test_each_stage_of_sharding_holds_no_more_state_than_the_one_before():
    stages = [sharded(name) for name in ("ddp", "zero1", "zero2", "zero3")]
    state = [stage.weights + stage.gradients + stage.optimizer for stage in stages]
    several = (ASKED.layout.dp * ASKED.layout.cp / ASKED.layout.ep > 1) & (ASKED.options.offload == 0)
    assert several.any()
    for less, more in pairwise(state):
        assert np.all(more <= less * (1 + SLACK))
        assert np.all((more < less)[several])
    hsdp = sharded("hsdp")
    held = hsdp.weights + hsdp.gradients + hsdp.optimizer
    assert np.all((state[3] <= held * (1 + SLACK)) & (held <= state[0] * (1 + SLACK)))


def test_offload_empties_the_optimizer_and_takes_time():
    home, away = (ASKED.with_(offload=flag).evaluate() for flag in (0, 1))
    assert np.all(home.memory.optimizer > 0)
    assert np.all(away.memory.optimizer == 0)
    np.testing.assert_allclose(home.memory.total - away.memory.total, home.memory.optimizer, rtol=1e-6)
    assert np.all(away.step_s > home.step_s)


def test_sequence_parallelism_keeps_no_more_and_changes_nothing_without_tensor_parallelism():
    whole, split = (ASKED.with_(sequence_parallel=flag).evaluate() for flag in (0, 1))
    alone = ASKED.layout.tp == 1
    assert np.all(split.memory.activations <= whole.memory.activations * (1 + SLACK))
    assert np.all((split.memory.activations < whole.memory.activations)[~alone])
    np.testing.assert_array_equal(split.step_s[alone], whole.step_s[alone])
    np.testing.assert_array_equal(split.memory.total[alone], whole.memory.total[alone])


@pytest.mark.parametrize("degree", ["tp", "ep"])
def test_a_higher_degree_never_holds_more_weights(degree):
    rows = getattr(ASKED.layout, degree) == 1
    if degree == "ep":
        rows &= (ASKED.work.experts > 0) & (ASKED.layout.dp * ASKED.layout.cp % 2 == 0)
    assert rows.any()
    more = ASKED.with_(**{degree: 2.0}).evaluate().memory
    assert np.all((more.weights <= FOUND.memory.weights * (1 + SLACK))[rows])


# ---- machines --------------------------------------------------------------------------------------------------------

JOBS = (
    job("mpt-7b", batch=64),
    job("llama-3-70b", batch=128, sequence=8192, framework="Megatron"),
    job("mixtral-8x7b", batch=64, framework="Megatron"),
)


@settings(max_examples=6, deadline=None)
@given(
    asked=st.sampled_from(JOBS),
    chip=st.sampled_from(("A100 SXM 40GB", "H100 SXM", "MI300X")),
    start=st.floats(2e10, 6e10),
    growth=st.floats(1.2, 3.0),
)
def test_more_memory_never_fits_less_and_is_never_clearly_slower(asked, chip, start, growth):
    host = machine(chip, 16)
    sizes = [start * growth**i for i in range(5)]
    machines = [replace(host, accelerator=replace(host.accelerator, memory_bytes=size)) for size in sizes]
    found = plan(asked, machines, uncalibrated())
    fits = [isinstance(answer, Estimate) for answer in found]
    assert fits == sorted(fits)
    estimates = [answer for answer in found if isinstance(answer, Estimate)]
    for small, large in pairwise(estimates):
        assert large.step_s.p50 <= small.step_s.p50 * EDGE_PENALTY * (1 + 1e-6)
        if small.memory.verdict == "fits":
            assert large.step_s.p50 <= small.step_s.p50 * (1 + 1e-6)
    shortfalls = [answer.shortfall or 0.0 for answer in found if isinstance(answer, Rejection)]
    assert shortfalls == sorted(shortfalls, reverse=True)
    assert all(shortfall > 1.0 for shortfall in shortfalls)


@pytest.mark.parametrize("pair", [("H800 SXM", "H100 SXM"), ("A800 SXM", "A100 SXM 80GB")])
@pytest.mark.parametrize("asked", JOBS, ids=lambda asked: asked.name)
@pytest.mark.parametrize("calibration", [uncalibrated(), shipped()], ids=["uncalibrated", "shipped"])
def test_half_the_link_is_never_faster(pair, asked, calibration):
    for count in (8, 64, 256):
        if count > asked.global_batch:
            continue
        narrow, wide = plan(asked, [machine(name, count) for name in pair], calibration)
        if isinstance(narrow, Estimate):
            assert isinstance(wide, Estimate)
            assert narrow.step_s.p50 >= wide.step_s.p50 * (1 - SLACK)


def test_every_interval_is_in_order_and_a_run_is_longer_than_its_steps():
    machines = [machine(name, 64) for name in accelerators()]
    found = [answer for answer in plan(job("mpt-1b", batch=512), machines) if isinstance(answer, Estimate)]
    assert len(found) > 20
    for answer in found:
        for interval in (answer.step_s, answer.run_s):
            assert 0 < interval.p10 < interval.p50 < interval.p90
        assert answer.run_s.p50 >= answer.steps * answer.step_s.p50
        assert answer.run_s.p90 / answer.run_s.p50 >= answer.step_s.p90 / answer.step_s.p50
        assert 0 < answer.mfu <= answer.hfu < 1.0
        assert 0 < answer.goodput <= 1.0
        assert sum(answer.breakdown_s.values()) == pytest.approx(answer.step_s.p50)
        assert sum(answer.memory.components.values()) == pytest.approx(answer.memory.bytes)
