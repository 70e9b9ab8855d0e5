"""Re-plan reservations: ruin and recreate under simulated annealing, guided by the shadow prices of the LP bound.

One round takes a request that is out, makes room for it where least is missing by taking out those of least worth, and
puts back what fits of them and of a few others; the result is kept if it is better, or a little worse while it is
still warm (Schrimpf et al., "Record breaking optimization results using the ruin and recreate principle", Journal of
Computational Physics 159, 2000).

Invariants: `fixed` requests (confirmed) neither move nor leave; `kept` ones (accepted, start not yet confirmed) may
move within their window and never leave; the result is worth at least what it began with; the same rounds, seed and
input give the same schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np

from sublet.allocation.replan_state import Dice, State
from sublet.allocation.reserve_values import OUT, Demand, Floats, Schedule

_WARM, _COLD = 0.4, 0.005  # first and last temperature, of the mean value of a request
_OTHERS = 10  # requests that are out and get a chance in a round
_LOOK = 32  # rounds between two looks at what is left


def rounds(count: int) -> Callable[[], float]:
    """A budget of `count` rounds for `replan`: the share that is spent, told without a clock."""
    looks = 0

    def spent() -> float:
        nonlocal looks
        looks += 1
        return (looks - 1) * _LOOK / max(count, 1)

    return spent


def replan(
    demand: Demand,
    price: Floats,
    *,
    spent: Callable[[], float],
    seed: int = 0,
    begin: Schedule | None = None,
    fixed: Collection[int] = (),
    kept: Collection[int] = (),
) -> Schedule:
    """A better schedule, sought until `spent()` says 1 (it is asked every 32 rounds and must rise from 0).

    `price` per node and slot (slots,) guides it; `begin` is where it begins (else greedily by worth); `fixed` and
    `kept` name requests (positions in the demand) that are in `begin`.
    """
    dice = Dice(np.random.default_rng(seed))
    state = State(demand, price, dice)
    if begin is not None:
        for request in np.flatnonzero(begin.start != OUT).tolist():
            state.put(request, int(begin.start[request]))
    begun = math.fsum(state.value[request] for request in range(len(demand)) if state.at[request] != OUT)
    first = state.schedule()
    for request in sorted(state.out(), key=lambda request: -state.worth[request]):
        state.insert(request)
    now = math.fsum(state.value[request] for request in range(len(demand)) if state.at[request] != OUT)
    best, best_schedule = (now, state.schedule()) if now >= begun else (begun, first)
    bound = frozenset(fixed)
    stay = frozenset(kept) | bound
    scale = float(demand.value.mean()) if len(demand) else 1.0
    outside = state.out()
    turn, temperature = 0, _WARM * scale
    while outside:
        if turn % _LOOK == 0:
            share = spent()
            if share >= 1.0:
                break
            temperature = scale * _WARM * (_COLD / _WARM) ** share
        turn += 1
        undo, change, whole = _round(state, outside, bound, stay)
        if whole and (change >= 0 or dice() < math.exp(change / temperature)):
            now += change
            outside = state.out()
            if now > best + 1e-6:
                best, best_schedule = now, state.schedule()
        else:
            for request, slot in reversed(undo):
                if state.at[request] != OUT:
                    state.remove(request)
                if slot != OUT:
                    state.put(request, slot)
    return best_schedule


def _round(
    state: State, outside: list[int], bound: frozenset[int], stay: frozenset[int]
) -> tuple[list[tuple[int, int]], float, bool]:
    """One ruin and recreate: what was where before, the change of value, and whether all is as it must be."""
    dice = state.dice
    guest, other = (outside[int(dice() * len(outside))] for _ in range(2))
    if state.worth[other] > state.worth[guest]:
        guest = other
    low, choices = state.first[guest], len(state.cost[guest])
    anywhere = dice() < 0.4
    slot = low if choices == 1 else low + int(dice() * choices) if anywhere else state.least_lack(guest)
    removed, whole = _make_room(state, guest, slot, bound)
    undo = [(request, was) for request, was in removed]
    change = -sum(state.value[request] for request, _ in removed)
    if not whole:
        return undo, change, False
    state.put(guest, slot)
    undo.append((guest, OUT))
    change += state.value[guest]
    again = {request for request, _ in removed}
    again.update(outside[int(dice() * len(outside))] for _ in range(_OTHERS))
    again.discard(guest)
    worth = {request: state.worth[request] * (0.8 + 0.4 * dice()) for request in sorted(again)}
    for request in sorted(worth, key=lambda request: -worth[request]):
        if state.insert(request):
            undo.append((request, OUT))
            change += state.value[request]
    return undo, change, all(state.at[request] != OUT for request, _ in removed if request in stay)


def _make_room(state: State, guest: int, slot: int, bound: frozenset[int]) -> tuple[list[tuple[int, int]], bool]:
    """Take out the least worthy in the way of `guest` at `slot` until it fits; who was where, and whether it fits."""
    end = slot + state.length[guest]
    lack = state.nodes[guest] - state.free[slot:end]
    removed: list[tuple[int, int]] = []
    if lack.max() <= 0:
        return removed, True
    near: list[int] = ((state.start < end) & (state.end > slot)).nonzero()[0].tolist()
    order = sorted((state.worth[request] * (0.6 + 0.8 * state.dice()), request) for request in near)
    for _, request in order:
        if request in bound:
            continue
        was = state.at[request]
        shared = lack[max(was - slot, 0) : was + state.length[request] - slot]
        if shared.max() <= 0:
            continue
        state.remove(request)
        removed.append((request, was))
        shared -= state.nodes[request]
        if lack.max() <= 0:
            return removed, True
    return removed, False
