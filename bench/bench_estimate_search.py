"""GPT-3 175B on 4,096 A100 80 GB: CPU seconds of every layout and option with the Pareto set, and its peak memory."""

from __future__ import annotations

from _harness import cpu_s, peak_mib, report
from sublet.catalog.accelerators import accelerator
from sublet.catalog.fabrics import fabric_for
from sublet.estimate.result import Estimate, Machine
from sublet.estimate.search import search
from sublet.workload import builtin
from sublet.workload.job import TrainingJob

JOB = TrainingJob("bench", builtin.model("gpt-3-175b"), "pretrain", 3e11, 2048, 4096, "bf16", "Megatron")

if __name__ == "__main__":
    chip = accelerator("A100 SXM 80GB")
    machine = Machine(chip, fabric_for(chip), 4096)
    before = peak_mib()
    seconds, found = cpu_s(lambda: search(JOB, machine))
    assert isinstance(found.best, Estimate), "GPT-3 fits on 4,096 A100"
    report(
        "estimate_search",
        seconds,
        "CPU-s",
        at_most=6.0,
        evaluations=found.evaluations,
        pareto=len(found.pareto),
        step_s=round(found.best.step_s.p50, 2),
    )
    report("estimate_search_evaluations", found.evaluations, "evaluations", at_least=5e6)
    report("estimate_search_memory", peak_mib(), "MiB", at_most=1000.0, before_mib=round(before))
