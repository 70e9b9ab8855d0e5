"""Runs that are known to run out of memory are turned away; runs that are known to have run are not.

Every case says who saw it. Where the source states a layout, so does the case.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from estimate_cases import job, layouts, machine, options  # type: ignore[import-not-found]

from sublet.estimate.calibration import uncalibrated
from sublet.estimate.evaluate import evaluate
from sublet.estimate.frameworks import family_of
from sublet.estimate.inputs import workload_arrays
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.estimate.plan import plan
from sublet.estimate.result import Estimate, Rejection
from sublet.workload import builtin


@dataclass(frozen=True)
class Case:
    """A published outcome."""

    source: str
    model: str
    chip: str
    count: int
    job: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        return f"{self.model} on {self.count} x {self.chip}"

    def answer(self):
        return plan(job(self.model, **self.job), [machine(self.chip, self.count)])[0]


DATA_PARALLEL = {"tp": 1, "pp": 1, "cp": 1, "offload": False}
FSDP = {**DATA_PARALLEL, "sharding": "zero3", "micro_batch": 1}

OUT_OF_MEMORY = (
    Case("812 GB of weights alone (arXiv 2407.21783: 405 B parameters)", "llama-3.1-405b", "H100 SXM", 1, {"batch": 1}),
    Case("the same on one node", "llama-3.1-405b", "H100 SXM", 8, {"batch": 8, **FSDP}),
    Case(
        "16 bytes per parameter (arXiv 1910.02054) are 137 GB on each of 8",
        "llama-2-70b",
        "A100 SXM 80GB",
        8,
        {"batch": 8, "task": "finetune", "recompute": "full", **FSDP},
    ),
    Case("16 bytes per parameter are 350 GB on each of 8", "gpt-3-175b", "A100 SXM 80GB", 8, {"batch": 8, **FSDP}),
    Case(
        "arXiv 1910.02054 figure 1: 120 GB of model states on every rank",
        "gpt-7.5b",
        "V100 SXM 32GB",
        64,
        {
            **DATA_PARALLEL,
            "batch": 64,
            "sequence": 1024,
            "precision": "fp16",
            "framework": "DeepSpeed",
            "sharding": "ddp",
            "micro_batch": 1,
        },
    ),
    Case(
        "github.com/meta-llama/llama-cookbook issue 413: one A100 80 GB, no adapters, no quantisation",
        "llama-2-7b",
        "A100 SXM 80GB",
        1,
        {"batch": 4, "sequence": 4096, "task": "finetune", "offload": False},
    ),
    Case(
        "github.com/meta-llama/llama issue 342: one A100 80 GB is not enough, two are",
        "llama-7b",
        "A100 SXM 80GB",
        1,
        {"batch": 8, "sequence": 128, "task": "finetune", "offload": False},
    ),
    Case(
        "github.com/young-geng/EasyLM issue 87: weights and optimizer are 84 GB",
        "llama-2-7b",
        "A100 SXM 80GB",
        1,
        {"batch": 1, "framework": "JAX", "offload": False},
    ),
    Case(
        "github.com/Alpha-VLLM/LLaMA2-Accessory issue 26: two A800, model parallel, batch 1, checkpointing",
        "llama-2-13b",
        "A800 SXM",
        2,
        {
            "batch": 2,
            "sequence": 512,
            "task": "finetune",
            "tp": 2,
            "pp": 1,
            "cp": 1,
            "micro_batch": 1,
            "recompute": "full",
            "offload": False,
        },
    ),
    Case(
        "github.com/simplescaling/s1 issue 13: 8 x H100 run out at 20,000 tokens, 16 do not",
        "qwen-2.5-32b",
        "H100 SXM",
        8,
        {"batch": 8, "sequence": 20000, "task": "finetune", "recompute": "full", **FSDP},
    ),
)

RAN = (
    Case(
        "the same issue: 16 x H100",
        "qwen-2.5-32b",
        "H100 SXM",
        16,
        {"batch": 16, "sequence": 20000, "task": "finetune", "recompute": "full", **FSDP},
    ),
    Case(
        "github.com/meta-llama/llama issue 342: two A100 80 GB, 4 sequences of 128 tokens each",
        "llama-7b",
        "A100 SXM 80GB",
        2,
        {**FSDP, "batch": 8, "sequence": 128, "task": "finetune", "micro_batch": 4},
    ),
    Case(
        "github.com/meta-llama/llama-cookbook issue 100: FSDP without adapters on four A100 40 GB",
        "llama-2-7b",
        "A100 SXM 40GB",
        4,
        {"batch": 4, "task": "finetune", **FSDP},
    ),
    Case(
        "github.com/AI-Hypercomputer/maxtext issue 606: trained on a v4-8 (four chips of 32 GB), just barely",
        "llama-2-7b",
        "TPU v4",
        4,
        {"batch": 4, "framework": "JAX", "recompute": "full", **FSDP},
    ),
    Case(
        "huggingface.co/blog/ram-efficient-pytorch-fsdp: two nodes of 8 x A100 80 GB, checkpointing",
        "llama-2-70b",
        "A100 SXM 80GB",
        16,
        {"batch": 16, "task": "finetune", "recompute": "full", **FSDP},
    ),
    Case(
        "mosaicml/llm-foundry, training benchmarks: MPT 30b on 128 x A100 40 GB, microbatch 6, checkpointing",
        "mpt-30b",
        "A100 SXM 40GB",
        128,
        {**FSDP, "batch": 768, "recompute": "full", "micro_batch": 6},
    ),
    Case(
        "arXiv 2407.21783 table 4: TP 8, PP 16, DP 128 on 16,384 H100, activations all kept",
        "llama-3.1-405b",
        "H100 SXM",
        16384,
        {
            "batch": 2048,
            "sequence": 8192,
            "framework": "Megatron",
            "tp": 8,
            "pp": 16,
            "cp": 1,
            "micro_batch": 1,
            "sharding": "zero2",
            "recompute": "none",
            "sequence_parallel": True,
            "offload": False,
        },
    ),
)


@pytest.mark.parametrize("case", OUT_OF_MEMORY, ids=str)
def test_what_ran_out_of_memory_is_turned_away(case):
    answer = case.answer()
    assert isinstance(answer, Rejection), case.source
    assert "does not fit" in answer.reason
    assert answer.shortfall is not None
    assert answer.shortfall > 1.0


@pytest.mark.parametrize("case", RAN, ids=str)
def test_what_ran_is_not_turned_away(case):
    answer = case.answer()
    assert isinstance(answer, Estimate), (case.source, answer)
    assert answer.memory.verdict in ("fits", "edge")


# ---- Megatron: Korthikanti et al. 2022 (arXiv 2205.05198), tables 3 and figure 1 -------------------------------------

# model -> (pipeline, interleaving, microbatch, batch)
MEGATRON = {
    "gpt-22b": (1, 1, 4, 4),
    "gpt-175b": (8, 3, 1, 64),
    "gpt-530b": (35, 3, 1, 280),
    "gpt-1t": (64, 1, 1, 512),
}


def megatron(name, recompute, sequence_parallel):
    pp, vp, micro, batch = MEGATRON[name]
    asked = {
        "batch": batch,
        "framework": "Megatron-unfused",
        "tp": 8,
        "pp": pp,
        "vp": vp,
        "cp": 1,
        "dp": 1,
        "micro_batch": micro,
        "sharding": "ddp",
        "recompute": recompute,
        "sequence_parallel": sequence_parallel,
        "offload": False,
    }
    return Case("arXiv 2205.05198", name, "A100 SXM 80GB", 8 * pp, asked).answer()


@pytest.mark.parametrize("name", MEGATRON)
def test_tensor_parallelism_alone_does_not_fit_80_gb(name):
    """Figure 1: the baseline of every model is above the line of 80 GB."""
    assert isinstance(megatron(name, "none", False), Rejection)


@pytest.mark.parametrize("name", MEGATRON)
@pytest.mark.parametrize(("recompute", "sequence_parallel"), [("full", False), ("selective", True)])
def test_both_ways_of_table_5_fit_80_gb(name, recompute, sequence_parallel):
    assert isinstance(megatron(name, recompute, sequence_parallel), Estimate)


@pytest.mark.parametrize("name", MEGATRON)
@pytest.mark.parametrize("sequence_parallel", [False, True])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_activations_are_those_of_the_papers_table_2(name, sequence_parallel, recompute):
    """Table 2, per layer: sbh (10 + 24/t + 5as/ht), sbh/t (34 + 5as/h), selective without the last term, full 2 sbh.

    The paper counts dropout masks (2 bytes of the 34), which current recipes no longer have.
    """
    pp, _, micro, batch = MEGATRON[name]
    model, t = builtin.model(name), 8
    asked = job(model, batch=batch, framework="Megatron-unfused")
    family = family_of("Megatron-unfused")
    host = machine_arrays(machine(count=8 * pp), asked, family, uncalibrated(), physics())
    flags = {"none": {}, "selective": {"selective": 1.0}, "full": {"full": 1.0}}[recompute]
    found = evaluate(
        workload_arrays(asked, fused_attention=False),
        host,
        layouts({"tp": t, "pp": pp, "micro": micro}),
        options("ddp", sequence_parallel=float(sequence_parallel), **flags),
        physics(),
    )
    s, h = 2048, model.hidden
    scores = 5 * model.heads * s / h if recompute == "none" else 0.0
    per_layer = (34 + scores) / t if sequence_parallel else 10 + (24 + scores) / t
    if recompute == "full":
        per_layer = 2 / t if sequence_parallel else 2
    in_flight = min(pp, batch // micro)
    want = micro * s * h * per_layer * model.layers / pp * in_flight
    if recompute == "full":  # and the layer being computed again, which the paper leaves out
        whole = (34 + 5 * model.heads * s / h) / t if sequence_parallel else 10 + (24 + 5 * model.heads * s / h) / t
        want += micro * s * h * whole
    assert float(found.memory.activations) == pytest.approx(want, rel=0.16)


# ---- ZeRO: Rajbhandari et al. 2020 (arXiv 1910.02054), figure 1 ------------------------------------------------------


@pytest.mark.parametrize(("sharding", "gigabytes"), [("ddp", 120), ("zero1", 31.4), ("zero2", 16.6), ("zero3", 1.9)])
def test_model_states_are_those_of_the_papers_figure_1(sharding, gigabytes):
    asked = job("gpt-7.5b", batch=64, sequence=1024, precision="fp16")
    family = family_of("DeepSpeed")
    host = machine_arrays(machine("V100 SXM 32GB", 64), asked, family, uncalibrated(), physics())
    found = evaluate(workload_arrays(asked), host, layouts({"dp": 64}), options(sharding), physics()).memory
    state = float(found.weights + found.gradients + found.optimizer)
    assert state / 1e9 == pytest.approx(gigabytes, rel=0.02)
