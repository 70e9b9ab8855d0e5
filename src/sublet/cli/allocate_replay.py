"""`sublet allocate replay`: a trace, a pool and a policy in; waits, use of the pool and the worth of ETAs out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sublet.allocation.replay import Replay
    from sublet.allocation.trace_reader import Trace


@click.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--nodes", type=click.IntRange(min=1), help="Replay whole-node gangs on this many nodes.")
@click.option("--slots", type=click.IntRange(min=1), help="Replay on this many plain slots (accelerators).")
@click.option("--cluster", metavar="NAME", help="A pool by name: `sublet allocate replay TRACE --cluster list`.")
@click.option("--gpus-per-node", type=click.IntRange(min=1), default=8, help="Where the trace has no nodes column.")
@click.option("--policy", "policy_name", default="sublet", help="A built-in policy by name, or a policy file.")
@click.option(
    "--estimates",
    type=click.Choice(["requested", "exact"]),
    default="requested",
    help="What the policy knows of durations: the request where there is one, or the truth.",
)
@click.option("--sample-eta", type=click.IntRange(min=0), default=0, help="Predict the start of N delayed jobs.")
@click.option("--seed", type=int, default=0, help="Of the samples and simulations behind the ETAs.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw queue and use over time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def replay(
    trace: Path,
    nodes: int | None,
    slots: int | None,
    cluster: str | None,
    gpus_per_node: int,
    policy_name: str,
    estimates: str,
    sample_eta: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Play a trace (CSV or SWF, gzip or not) on a pool under a policy."""
    from sublet.allocation.policy_file import load_policy
    from sublet.allocation.replay import document
    from sublet.allocation.replay import replay as play
    from sublet.allocation.trace import with_exact_estimates
    from sublet.allocation.trace_reader import read_trace
    from sublet.errors import InputError

    if sum(choice is not None for choice in (nodes, slots, cluster)) != 1:
        raise InputError("say what to replay on with exactly one of --nodes, --slots and --cluster")
    unit = "slot" if slots is not None else "node"
    capacity = nodes or slots or 0
    if cluster is not None:
        from sublet.allocation.trace_clusters import find_cluster

        pool = find_cluster(cluster)
        unit, capacity, gpus_per_node = pool.unit, pool.capacity, pool.gpus_per_node
    policy = load_policy(policy_name)
    read = read_trace(trace, unit=unit, gpus_per_node=gpus_per_node)
    jobs = with_exact_estimates(read.jobs) if estimates == "exact" else read.jobs
    for sentence in read.left_out:
        click.echo(f"sublet: {sentence}", err=True)
    before = time.process_time()
    result = play(jobs, capacity, policy, sample_eta=sample_eta, seed=seed)
    cpu_s = time.process_time() - before
    if plot is not None:
        from sublet.cli.allocate_plot import plot_replay

        plot_replay(result, plot)
    if as_json:
        click.echo(json.dumps(document(result, cpu_s), indent=1, allow_nan=False))
    else:
        _print(result, read, unit, estimates, cpu_s)


def _print(result: Replay, read: Trace, unit: str, estimates: str, cpu_s: float) -> None:
    figures, eta = result.measures, result.eta
    known = estimates if read.has_requests or estimates == "exact" else "exact: the trace has no requests"
    click.echo(f"{read.name}: {figures.jobs:,} jobs on {result.capacity:,} {unit}s, policy {result.policy.name}")
    click.echo(f"  durations known      {known}")
    if result.cut:
        click.echo(f"  cut to the pool      {result.cut:,} gangs larger than it")
    rows = [
        ("mean wait", f"{figures.mean_wait_h:.3f} h"),
        ("median, p95, p99", f"{figures.median_wait_h:.2f}, {figures.p95_wait_h:.2f}, {figures.p99_wait_h:.2f} h"),
        ("longest wait", f"{figures.max_wait_h:.1f} h"),
        ("area-weighted wait", _bounded(figures.area_weighted_wait_h, "h", figures.area_weighted_bound_h)),
        ("bounded slowdown", f"{figures.bounded_slowdown:.2f}"),
        ("utilisation", f"{figures.utilisation:.3f} between the first and the last arrival"),
        ("makespan", _bounded(figures.makespan_d, "d", figures.makespan_bound_d)),
        ("events", f"{result.schedule.events:,} in {cpu_s:.2f} CPU-s, ETAs included"),
    ]
    if eta is not None and eta.n:
        rows.append(("ETA p50 error", f"{eta.p50_mae_h:.2f} h mean, {eta.p50_median_error_h:.2f} h median, n {eta.n}"))
        rows.append(("ETA p90 coverage", f"{eta.p90_coverage:.1%}; promises kept {eta.promises_kept:.1%}"))
    elif eta is not None:
        rows.append(("ETA", "no job had to wait: nothing to predict"))
    for name, text in rows:
        click.echo(f"  {name:20s} {text}")


def _bounded(value: float, unit: str, bound: float) -> str:
    return f"{value:.2f} {unit}" + (f" (no schedule is below {bound:.2f} {unit})" if bound > 0 else "")
