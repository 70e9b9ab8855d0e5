"""What we predict for the two MPT-30B runs that were published, beside what was: the table of docs/world-check.md.

MosaicML, "MPT-30B: Raising the bar for open-source foundation models", 22 June 2023: 1 T tokens on 512 accelerators,
28.3 days on A100 40 GB in bf16 and 11.6 days on H100 in fp8. Neither is in the calibration.

    .venv/bin/python tools/world_check.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from marked import replace as replace_part
from sublet.catalog.accelerators import accelerator
from sublet.estimate.interconnect import fabric_from_text
from sublet.estimate.plan import plan
from sublet.estimate.result import Estimate, Machine
from sublet.workload.job import Constraints, Layout
from sublet.workload.spec import load_job

ROOT = Path(__file__).resolve().parents[1]
COUNT = 512
DAY_S = 86400.0


@dataclass(frozen=True)
class Case:
    """One chip, number format and network, with the days and the price per accelerator-hour that were published.

    `layout`: empty, so that the best is chosen, or that of llm-foundry's own benchmarks of this model.
    """

    chip: str
    precision: str
    network: str
    layout: Layout
    published_days: float | None
    published_usd_per_hour: float | None


OURS = Layout()
THEIRS = Layout(tp=1, pp=1, cp=1, sharding="zero3", recompute="full")
ROCE, INFINIBAND = "1600 Gb/s per node RoCE", "3200 Gb/s per node InfiniBand"
CASES = (
    Case("A100 SXM 40GB", "bf16", ROCE, THEIRS, 28.3, 2.50),
    Case("A100 SXM 40GB", "bf16", ROCE, OURS, 28.3, 2.50),
    Case("H100 SXM", "fp8", INFINIBAND, THEIRS, 11.6, 5.00),
    Case("H100 SXM", "fp8", INFINIBAND, OURS, 11.6, 5.00),
    Case("H100 SXM", "bf16", INFINIBAND, THEIRS, None, 5.00),
    Case("H100 SXM", "bf16", INFINIBAND, OURS, None, 5.00),
)


def estimates() -> list[tuple[Case, Estimate]]:
    """The job of examples/mpt-30b.yaml on each case's machine, without the constraints."""
    job = replace(load_job(ROOT / "examples/mpt-30b.yaml"), constraints=Constraints())
    found = []
    for case in CASES:
        chip = accelerator(case.chip)
        machine = Machine(chip, fabric_from_text(case.network, chip, COUNT), COUNT)
        answer = plan(replace(job, precision=case.precision, layout=case.layout), [machine])[0]
        assert isinstance(answer, Estimate), f"{case.chip}: {answer.reason}"
        found.append((case, answer))
    return found


def table(answers: list[tuple[Case, Estimate]]) -> str:
    """Markdown: one row for each case, and the ratio between the chips."""
    lines = [
        f"| {COUNT} x | format | layout | days at the benchmark's rate | days of the run, P50 (P10-P90) | published "
        "| difference | tokens/s per chip | MFU | cost at the published price |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for case, found in answers:
        days = found.run_s.scaled(1 / DAY_S)
        published = f"{case.published_days:g}" if case.published_days else "-"
        difference = f"{days.p50 / case.published_days - 1:+.0%}" if case.published_days else "-"
        cost = "-"
        if case.published_usd_per_hour:
            dollars = case.published_usd_per_hour * COUNT * found.run_s.p50 / 3600
            cost = f"${dollars:,.0f} at ${case.published_usd_per_hour:.2f}"
        lines.append(
            f"| {case.chip} | {case.precision} | {_layout(case, found)} | {found.steps * found.step_s.p50 / DAY_S:.1f} "
            f"| {days.p50:.1f} ({days.p10:.1f}-{days.p90:.1f}) | {published} | {difference} "
            f"| {found.tokens_per_s / COUNT:,.0f} | {found.mfu:.1%} | {cost} |"
        )
    run_s = {(case.chip, case.precision): found.run_s.p50 for case, found in answers if case.layout == THEIRS}
    slow = run_s["A100 SXM 40GB", "bf16"]
    rests = dict.fromkeys(found.calibration for _, found in answers)
    lines += [
        "",
        "H100 over A100 40 GB at equal count and in the benchmarks' layout: "
        f"{slow / run_s['H100 SXM', 'fp8']:.2f} times in fp8, {slow / run_s['H100 SXM', 'bf16']:.2f} times in bf16; "
        f"published: {28.3 / 11.6:.2f} times, fp8 against bf16.",
        "",
        f"Goodput {answers[0][1].goodput:.1%}. Calibration: {'; '.join(rests)}.",
    ]
    return "\n".join(lines)


def _layout(case: Case, found: Estimate) -> str:
    of = found.layout
    whose = "as benchmarked" if case.layout == THEIRS else "best"
    return f"{whose}: tp {of.tp}, pp {of.pp}, {of.sharding}, micro-batch {of.micro_batch}, recompute {of.recompute}"


if __name__ == "__main__":
    text = table(estimates())
    print(text)
    replace_part("world-check.md", "mpt-30b", text)
