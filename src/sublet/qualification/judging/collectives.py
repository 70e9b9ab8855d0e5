"""Rules over collectives: graded at each size against the curve of chip and fabric, never by the tool's average."""

from __future__ import annotations

import math
import re

from sublet.qualification.judging import chips, references
from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.references import Reference
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.fleet_results import Curves
from sublet.qualification.reading.nccl import Collective, Point

_IMPOSSIBLE = 1e5  # GB/s that no fabric moves
_GRADED = 1 << 25  # bytes; below it latency counts more than bandwidth, and references are rare
_SAG = 0.75  # of the reference at middle sizes, where the largest reach it: 0.41 to 0.70 on a stack that was too old
_RING = 0.85  # of the reference with NVLS: a ring reaches 367 to 370 of 480 (ml-engineering, nccl-tests issue 212)
_NETWORKS = {
    "fastrak": 1600.0,
    "gpudirecttcpx": 800.0,
}  # plug-ins that exist on one fabric only (Google a3-mega, a3-high)
_INTRA, _INTER = "perf.allreduce_intra", "perf.allreduce_inter"


def judge(run: Collective, context: Context) -> list[Finding]:
    """Findings over one run of nccl-tests or rccl-tests."""
    nodes = _nodes(run)
    check = _INTER if nodes > 1 else _INTRA
    broken = _broken(run, check) if run.failure else []
    return broken + (_measured(run, context, nodes, check) if run.points else [])


# what a run says when it breaks off -> the check that failed, and what it means
_CAUSES = (
    (r"system not yet initialized", "fabric.manager", "CUDA error 802: the fabric manager is not at work"),
    (r"uncorrectable ECC|ECC error", "ecc.uncorrectable", "an uncorrected error of memory"),
    (r"fallen off|GPU is lost|no CUDA-capable device|device\(?s?\)? is/are busy", "observe.tool", "a GPU is gone"),
    (r"RETRY_EXC|status=12|vendor err 129", "ib.errors", "a transport's retries ran out: a link or a port"),
)


def _broken(run: Collective, check: str) -> list[Finding]:
    """A run that broke off: a fault that it names, else one that decides nothing about the hardware."""
    for pattern, blamed, words in _CAUSES:
        if re.search(pattern, run.failure, re.IGNORECASE):
            return [finding(blamed, "fail", f"the run broke off: {words}: {run.failure[:160]}")]
    return [finding(check, "incomplete", f"the run broke off: {run.failure[:200]}")]


def _measured(run: Collective, context: Context, nodes: int, check: str) -> list[Finding]:
    alone = (run.nranks and max(run.nranks) == 1) or run.ranks == 1 or _silent(run)
    found: list[Finding] = []
    if alone:
        return [
            finding(
                "perf.collective_valid",
                "incomplete",
                "each rank ran alone (the binary was built without MPI, or not started by it): nothing was measured",
            )
        ]
    wrong = run.out_of_bounds or any(point.wrong for point in run.points)
    checked = any(point.wrong is not None for point in run.points)
    if wrong:
        found.append(finding("perf.collective_valid", "fail", "results of the collective are wrong"))
    elif checked:
        found.append(finding("perf.collective_valid", "pass", "no wrong result"))
    else:
        found.append(finding("perf.collective_valid", "not_applicable", "results were not checked"))
    if any(point.algorithm > _IMPOSSIBLE for point in run.points):
        return [
            *found,
            finding("perf.too_good", "incomplete", "a rate that no hardware can reach: the harness is broken"),
        ]
    if nodes > 1 and run.network.casefold() in ("socket", "fastsocket") and context.expected.transport != "tcp":
        found.append(finding("rdma.transport", "fail", "NCCL moved the data over sockets, not over a network plug-in"))
    chip = context.sold or chips.one_of(run.devices) or context.chip
    if context.sold is not None and (there := chips.one_of(run.devices)) is not None:
        good = there.name == context.sold.name
        found.append(finding("gpu.identity", "pass" if good else "fail", f"{there.name}; {context.sold.name} was sold"))
    name = run.collective or "collective"
    best = max(run.points, key=lambda point: point.size)
    told = f"{name.replace('_', '-')} {best.bus:g} GB/s at {_size(best.size)}"
    rows = rows_for(run, context)
    if not run.collective or not rows:
        of = f" of {chip.name}" if chip else ""
        bounded = _bounded(check, run, chip, nodes, told)
        if bounded:
            return [*found, bounded]
        return [*found, finding(check, "incomplete", f"{told}; no reference for {name}{of} on {nodes} nodes", "INFO")]
    dips = _dips(run)
    if dips:
        said = f"{told}; {', '.join(map(_size, dips[:3]))} under half of what smaller messages reach"
        found.append(finding(check, "fail", said, "WATCH"))
    compared = _compare(check, run, rows, chip is not None, nodes, context, told)
    bounded = _bounded(check, run, chip, nodes, told) if compared.outcome == "incomplete" else None
    return [*found, bounded or compared]


def _bounded(check: str, run: Collective, chip: chips.Chip | None, nodes: int, told: str) -> Finding | None:
    """Where no reference is near: what no working NVSwitch node falls below, and what its links cannot carry."""
    if nodes != 1 or chip is None or chip.fabric not in ("nvswitch", "mesh") or run.ranks != 8:
        return None
    large = [point.bus for point in run.points if point.size >= 1 << 30]
    in_switch = chip.nvswitch and run.collective == "all_reduce"  # a switch that reduces sends each part once
    peak = chip.links * chip.link_gb_per_s * (2 * 7 / 8 if in_switch else 1)
    if not large or not peak:
        return None
    if max(large) > references.HIGHEST * peak:
        return finding("perf.too_good", "incomplete", f"{told}, and more than {peak:.0f} cannot be: measure again")
    if max(large) < references.LOWEST * peak:
        said = f"{told}: under {references.LOWEST:.0%} of what {chip.links} links of {chip.name} can carry"
        return finding(check, "fail", said)
    return None


def _dips(run: Collective) -> list[int]:
    """Sizes that are slower than half of a smaller one: bandwidth grows with the message."""
    top, found = 0.0, []
    for point in sorted(run.points, key=lambda each: each.size):
        if point.size >= _GRADED and point.bus < 0.5 * top:
            found.append(point.size)
        top = max(top, point.bus)
    return found


def rows_for(run: Collective, context: Context) -> list[Reference]:
    """The references that a run may be held to: its collective, chip, nodes and ranks; of every fabric, best first."""
    chip = context.sold or chips.one_of(run.devices) or context.chip
    rows = references.curves(run.collective, chip.name if chip else None, _nodes(run)) if run.collective else []
    return [row for row in rows if not row.gpus or run.ranks in (None, row.gpus)]


def _silent(run: Collective) -> bool:
    """Whether the bus carried nothing although the algorithm moved data: one rank."""
    moved = [point for point in run.points if point.algorithm >= 1]
    return bool(moved) and all(point.bus == 0 for point in moved)


def _nodes(run: Collective) -> int:
    if run.hosts is not None and run.hosts > 1:
        return run.hosts
    ranks = run.ranks or 0
    if run.hosts == 1 and ranks <= 8:
        return 1
    return max(1, math.ceil(ranks / 8))


def _size(size: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):g} {unit}"
    return f"{size} B"


def _efficiencies(points: tuple[Point, ...], row: Reference) -> dict[int, float]:
    found: dict[int, float] = {}
    for point in points:
        wanted = row.at(point.size)
        if wanted and point.size >= _GRADED:
            found[point.size] = max(found.get(point.size, 0.0), point.bus / wanted)
    return found


def _compare(
    check: str, run: Collective, rows: list[Reference], named: bool, nodes: int, context: Context, told: str
) -> Finding:
    """Against the fabric that was sold; where nobody said which, against the best one that is known."""
    share, critical = limit(check, "share"), limit(check, "critical_share")
    sold = context.expected.fabric_gbps or _NETWORKS.get(run.network.casefold())
    stated = nodes == 1 or sold is not None or context.expected.transport == "tcp"
    if nodes > 1 and context.expected.transport == "tcp":
        rows = [row for row in rows if row.tcp]
    elif nodes > 1 and sold is not None:
        rows = [row for row in rows if row.fabric_gbps is not None and abs(row.fabric_gbps / sold - 1) < 0.1]
    elif nodes > 1:
        top, fabrics = max(point.bus for point in run.points), {row.fabric_gbps for row in rows}
        rows = [row for row in rows if (references.limit_of(row, None) or math.inf) * references.HIGHEST >= top]
        stated = len({row.fabric_gbps for row in rows}) == 1 < len(fabrics)  # no slower fabric could have carried this
    settled = named and stated
    fits = [(row, _efficiencies(run.points, row)) for row in rows]
    fits = [(row, found) for row, found in fits if found]
    if not fits:
        return finding(check, "incomplete", f"{told}; no reference at these sizes", "INFO")
    row, found = fits[0]
    worst = min(found, key=lambda size: found[size])
    efficiency = math.exp(sum(math.log(max(each, 1e-6)) for each in found.values()) / len(found))
    said = f"{told}; {found[worst]:.0%} of the reference at {_size(worst)}, where it is lowest"
    if max(found.values()) > limit("perf.too_good", "share") and not row.line and settled:
        return finding(
            "perf.too_good", "incomplete", f"{told} is {max(found.values()):.0%} of the reference: measure again"
        )
    line = 1.0 if row.line else share
    if found[worst] >= line:
        if named and row.line and not settled:
            said = f"{told}: above the pass line of {_fabric(row)}; which fabric it is is not said"
            return finding(check, "incomplete", said, "INFO")
        if named:
            return finding(check, "pass", said, efficiency=min(efficiency, 1.05))
        return finding(check, "incomplete", f"{told}: as fast as any known; which chip it is is not said", "INFO")
    if max(found.values()) >= share and found[worst] < _SAG and not row.line:
        said = f"{said}: large messages hide it, gradients are of that size"
        return finding(check, "fail", said, "WATCH", efficiency=found[worst] if settled else None)
    if not settled:
        other = next((r for r, e in fits if min(e.values()) >= (1.0 if r.line else share)), None)
        fit = (
            f"it fits {_fabric(other)}, and would be a failure on {_fabric(row)}"
            if other
            else f"slower than {_fabric(row)}"
        )
        return finding(check, "incomplete", f"{told}: {fit}; say what was sold (--as)")
    large = [each for size, each in found.items() if size >= 1 << 30] or list(found.values())
    grave = max(large) < critical
    if nodes == 1 and not grave and max(large) < _RING:
        said += "; a ring gives as much, so reduction in the switch (NVLS) seems to be off"
    return finding(check, "fail", said, "ISOLATE" if grave else "WATCH", efficiency=min(found[worst], 1.0))


def _fabric(row: Reference) -> str:
    where = "plain TCP" if row.tcp else f"{row.fabric_gbps:g} Gb/s a node" if row.fabric_gbps else "one node"
    return f"{row.chips[0]} with {where}"


def judge_curves(curves: Curves, context: Context) -> list[Finding]:
    """Several curves of one thing side by side: what a slower one lost against the best."""
    tops = {
        name: rates[-1] for name, rates in curves.columns.items() if rates and rates[-1] is not None and rates[-1] > 0
    }
    if len(tops) < 2:
        return [finding(_INTER, "incomplete", "one curve alone has nothing to be compared with", "INFO")]
    best = max(tops, key=lambda name: tops[name] or 0)
    low = {name: (rate or 0) / (tops[best] or 1) for name, rate in tops.items() if name != best}
    slow = {name: share for name, share in low.items() if share < limit(_INTER, "share")}
    if not slow:
        return [finding("perf.straggler", "pass", f"all within {limit(_INTER, 'share'):.0%} of {best}")]
    words = ", ".join(f"{name} {share:.0%}" for name, share in slow.items())
    return [finding("perf.straggler", "fail", f"of {best} ({tops[best]:g} GB/s): {words}", where=tuple(slow))]
