"""`sublet allocate reserve`: accept reservations online by bid price, re-plan them, and hold both to the LP bound."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sublet.errors import InputError

SCHEMA = "sublet.allocate.reserve/1"


@click.command("reserve")
@click.argument("requests", type=click.Path(path_type=Path))
@click.option("--nodes", type=int, required=True, help="Nodes of the pool.")
@click.option("--replan", "replan_s", type=float, metavar="SECONDS", help="Also re-plan for this long.")
@click.option("--keep-accepted", is_flag=True, help="Re-planning moves what was accepted online, and drops none of it.")
@click.option("--lp-bound", type=float, metavar="VALUE", help="The LP's value, where known; else a bound is computed.")
@click.option("--slot", "slot_s", type=int, default=3_600, show_default=True, help="Seconds of a slot.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the re-planning.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reserve(
    requests: Path,
    nodes: int,
    replan_s: float | None,
    keep_accepted: bool,
    lp_bound: float | None,
    slot_s: int,
    seed: int,
    as_json: bool,
) -> None:
    """Replay reservation REQUESTS (CSV, as in the traces) on a pool of N nodes.

    Each is accepted or refused when it comes, by bid prices that stand on what came before it. With --replan the whole
    is planned anew, as one may while nothing is confirmed.
    """
    if lp_bound is not None and not lp_bound > 0:
        raise InputError(f"--lp-bound is {lp_bound:g}: it must be above 0")
    if replan_s is not None and not replan_s > 0:
        raise InputError(f"--replan is {replan_s:g}: give the seconds to re-plan for, above 0")
    if keep_accepted and replan_s is None:
        raise InputError("--keep-accepted says what --replan may do: give both")
    found = _replay(requests, nodes, replan_s, keep_accepted, lp_bound, slot_s, seed)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    share = found["share_of_lp"]
    click.echo(f"accepted     {found['accepted']:,} of {found['requests']:,}")
    click.echo(f"value        {found['value']:,.0f} of {found['asked_value']:,.0f} asked for")
    click.echo(f"utilisation  {found['utilisation']:.1%}")
    click.echo(f"upper bound  {found['lp_bound']:,.0f} ({found['lp_bound_from']}): {share:.1%} of it reached")
    click.echo(
        f"online       {found['online_share_of_lp']:.1%}; first come, first served {found['fcfs_share_of_lp']:.1%}"
    )
    if found["replan"] is not None:
        click.echo(f"re-planned   {found['replan']['share_of_lp']:.1%} in {found['replan']['wall_s']:.0f} s")


def _replay(
    path: Path, nodes: int, replan_s: float | None, keep: bool, lp_bound: float | None, slot_s: int, seed: int
) -> dict[str, Any]:
    import numpy as np

    from sublet.allocation.lp_bound import upper_bound
    from sublet.allocation.replan import replan
    from sublet.allocation.reserve import accept_by_bid_price, accept_first_come
    from sublet.allocation.reserve_reader import read_requests
    from sublet.allocation.reserve_values import OUT, check, demand_of, utilisation, value_of

    asked = read_requests(path)
    demand = demand_of(asked, nodes, slot_s)
    if not len(demand):
        raise InputError(f"none of the {len(asked)} requests can be met by {nodes} nodes", str(path))
    begun = time.process_time()
    online, decisions = accept_by_bid_price(demand)
    online_cpu_s = time.process_time() - begun
    dual = upper_bound(demand) if lp_bound is None or replan_s is not None else None
    limit = lp_bound if lp_bound is not None or dual is None else dual.value
    assert limit is not None
    final, again = online, None
    if replan_s is not None:
        assert dual is not None
        begun, wall = time.process_time(), time.monotonic()
        held = np.flatnonzero(online.start != OUT).tolist() if keep else ()
        first = online if keep else None
        final = replan(demand, dual.price, spent=_clock(replan_s), seed=seed, begin=first, kept=held)
        again = {
            "value": round(value_of(demand, final), 2),
            "accepted": final.accepted,
            "share_of_lp": value_of(demand, final) / limit,
            "wall_s": round(time.monotonic() - wall, 3),
            "cpu_s": round(time.process_time() - begun, 3),
            "kept_accepted": keep,
        }
    check(demand, online)
    check(demand, final)
    return {
        "schema": SCHEMA,
        "requests": len(asked),
        "nodes": nodes,
        "asked_value": round(demand.asked_value, 2),
        "value": round(value_of(demand, final), 2),
        "accepted": final.accepted,
        "utilisation": utilisation(demand, final),
        "share_of_lp": value_of(demand, final) / limit,
        "lp_bound": round(limit, 2),
        "lp_bound_from": "given" if lp_bound is not None else "own dual bound",
        "dual_bound": None if dual is None else round(dual.value, 2),
        "online_value": round(value_of(demand, online), 2),
        "online_accepted": online.accepted,
        "online_utilisation": utilisation(demand, online),
        "online_share_of_lp": value_of(demand, online) / limit,
        "online_cpu_s": round(online_cpu_s, 3),
        "online_verdicts": dict(sorted(Counter(decision.verdict for decision in decisions).items())),
        "impossible": len(demand.impossible),
        "fcfs_share_of_lp": value_of(demand, accept_first_come(demand)) / limit,
        "replan": again,
    }


def _clock(seconds: float) -> Callable[[], float]:
    """The share of `seconds` that has gone by."""
    begun = time.monotonic()
    return lambda: (time.monotonic() - begun) / seconds
