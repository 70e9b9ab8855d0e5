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
from sublet.workload.job import Constraints
from sublet.workload.spec import load_job

ROOT = Path(__file__).resolve().parents[1]
COUNT = 512
DAY_S = 86400.0


@dataclass(frozen=True)
class Case:
    """One chip, number format and network, with the days and the price per accelerator-hour that were published."""

    chip: str
    precision: str
    network: str
    published_days: float | None
    published_usd_per_hour: float | None


CASES = (
    Case("A100 SXM 40GB", "bf16", "1600 Gb/s per node RoCE", 28.3, 2.50),
    Case("H100 SXM", "fp8", "3200 Gb/s per node InfiniBand", 11.6, 5.00),
    Case("H100 SXM", "bf16", "3200 Gb/s per node InfiniBand", None, 5.00),
)


def estimates() -> list[tuple[Case, Estimate]]:
    """The job of examples/mpt-30b.yaml on each case's machine, without the constraints."""
    job = replace(load_job(ROOT / "examples/mpt-30b.yaml"), constraints=Constraints())
    found = []
    for case in CASES:
        chip = accelerator(case.chip)
        machine = Machine(chip, fabric_from_text(case.network, chip, COUNT), COUNT)
        answer = plan(replace(job, precision=case.precision), [machine])[0]
        assert isinstance(answer, Estimate), f"{case.chip}: {answer.reason}"
        found.append((case, answer))
    return found


def table(answers: list[tuple[Case, Estimate]]) -> str:
    """Markdown: one row for each case, and the ratio between the chips."""
    lines = [
        f"| {COUNT} x | format | days at the benchmark's rate | goodput | days of the run, P50 (P10-P90) | published "
        "| difference | tokens/s per chip | MFU | cost at the published price | calibration |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
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
            f"| {case.chip} | {case.precision} | {found.steps * found.step_s.p50 / DAY_S:.1f} | {found.goodput:.1%} "
            f"| {days.p50:.1f} ({days.p10:.1f}-{days.p90:.1f}) | {published} | {difference} "
            f"| {found.tokens_per_s / COUNT:,.0f} | {found.mfu:.1%} | {cost} | {found.calibration} |"
        )
    run_s = {(case.chip, case.precision): found.run_s.p50 for case, found in answers}
    slow = run_s["A100 SXM 40GB", "bf16"]
    lines += [
        "",
        f"H100 over A100 40 GB at equal count: {slow / run_s['H100 SXM', 'fp8']:.2f} times in fp8, "
        f"{slow / run_s['H100 SXM', 'bf16']:.2f} times in bf16; published: {28.3 / 11.6:.2f} times, fp8 against bf16.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    text = table(estimates())
    print(text)
    replace_part("world-check.md", "mpt-30b", text)
