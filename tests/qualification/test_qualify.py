"""The gate on nodes: the probe inside a slice of this machine, and on simulated nodes with their faults."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from sublet.providers.local import LocalProvider
from sublet.providers.local_supply import LocalSupply
from sublet.providers.protocol import CPU_ACCELERATOR, CreateRequest
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import Fault
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.providers.simulated_process import Answer
from sublet.qualification import gate, probe, rehearsal
from sublet.qualification.observe import observe
from sublet.qualification.values import Sold
from sublet.storage.clock import SystemClock, VirtualClock
from sublet.units import Money

SOLD = Sold("H100 SXM", 8, 192, 2e12)


@pytest.fixture
def simulated():
    shape = FleetShape("gpu_8x", 4, Money(Decimal(20)), "H100 SXM", 8, 192, 2e12)
    provider = SimulatedProvider(Fleet((shape,)), VirtualClock(), respond=rehearsal.respond)
    yield provider
    provider.close()


def node(provider, shape="gpu_8x"):
    return provider.create(CreateRequest("key", "lea_1", shape, ("nod_1",))).refs[0]


def test_a_simulated_node_passes(simulated):
    verdict = gate.qualify(simulated, node(simulated), SOLD)
    assert (verdict.verdict, verdict.coverage) == ("pass", 1.0)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Fault("wrong-chip", value="A100 SXM 80GB"), "identity"),
        (Fault("less-memory", share=0.5), "memory.size"),
    ],
)
def test_a_node_that_is_not_what_was_sold_is_critical(simulated, fault, check):
    simulated.script(fault)
    verdict = gate.qualify(simulated, node(simulated), SOLD)
    assert verdict.verdict == "critical"
    assert [finding.id for finding in verdict.findings if finding.outcome == "fail"] == [check]


@pytest.mark.parametrize("fault", ["command-hangs", "command-fails"])
def test_a_probe_that_gives_no_answer_is_unknown(simulated, fault):
    ref = node(simulated)
    simulated.script(Fault(fault))
    verdict = gate.qualify(simulated, ref, SOLD)
    assert (verdict.verdict, verdict.accepts, verdict.coverage) == ("unknown", False, 0.0)


@pytest.mark.parametrize("call", ["describe", "execute"])
def test_a_provider_that_is_down_is_unknown(simulated, call):
    ref = node(simulated)
    simulated.script(Fault("provider-down", call=call))
    assert gate.qualify(simulated, ref, SOLD).verdict == "unknown"


def test_an_answer_that_is_no_report_is_unknown():
    provider = SimulatedProvider(
        Fleet((FleetShape("cpu", 1, Money(Decimal(1))),)), VirtualClock(), respond=lambda *_: Answer(output=b"hello")
    )
    assert gate.qualify(provider, node(provider, "cpu"), SOLD).verdict == "unknown"
    provider.close()


def test_the_probe_measures_inside_the_slice(tmp_path):
    memory = 1 << 30
    supply = LocalSupply(nodes=1, cpus_per_node=1, memory_bytes_per_node=memory)
    provider = LocalProvider(tmp_path, supply, SystemClock(), groups=None)
    ref = node(provider, "local")
    facts, seen = observe(provider, ref)
    assert facts is not None
    claimed = facts.accelerators
    verdict = gate.judge(Sold(CPU_ACCELERATOR, 1, 1.0, float(memory)), seen, claimed=claimed)
    outcomes = {finding.id: finding.outcome for finding in verdict.findings}
    assert verdict.accepts, verdict.reason
    assert verdict.coverage == 1.0
    assert outcomes["cpu.count"] == outcomes["memory.size"] == outcomes["gemm.fp32"] == "pass"
    assert verdict.measured["cpus"] == 1.0
    assert verdict.measured["memory_bytes"] == memory
    assert 1e8 < float(verdict.measured["gemm_fp32_flops"]) < 1e13
    assert 1e7 < float(verdict.measured["memory_bytes_per_s"]) < 1e13
    assert gate.judge(Sold(CPU_ACCELERATOR, 1, 2.0, float(memory)), seen, claimed=claimed).verdict == "critical"
    assert gate.judge(Sold(CPU_ACCELERATOR, 1, 1.0, 2.0 * memory), seen, claimed=claimed).verdict == "critical"
    provider.terminate(ref)
    provider.close()


def test_the_probe_leaves_nothing_behind_and_takes_the_time_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = probe.report(0.2)
    assert set(found["measures"]) == set(probe.MEASURES)
    assert not [name for name, figures in found["measures"].items() if "error" in figures]
    assert list(tmp_path.iterdir()) == []
    json.dumps(found, allow_nan=False)


def test_a_measure_that_fails_says_why_and_the_others_go_on(tmp_path, monkeypatch):
    def broken(_):
        raise OSError("no disk")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "MEASURES", {"disk": (broken, 0.5), "cpu": probe.MEASURES["cpu"]})
    measures = probe.report(0.1)["measures"]
    assert measures["disk"]["error"] == "OSError: no disk"
    assert measures["cpu"]["cpus"] >= 1


def test_the_command_prints_json_or_lines_and_knows_its_measures(capsys):
    assert probe.main(["--json", "--only", "cpu,identity"]) == 0
    assert set(json.loads(capsys.readouterr().out)["measures"]) == {"cpu", "identity"}
    assert probe.main(["--only", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("cpu: affinity=")
    with pytest.raises(SystemExit):
        probe.main(["--only", "gpu"])
