"""The table of legal moves, its laws, and the diagram that is drawn from it."""

from __future__ import annotations

import itertools

import pytest

from sublet.broker.errors import Conflict
from sublet.broker.leases.states import FINAL, MEANING, MOVES, STABLE, TRANSITIONAL, State, check, legal, mermaid

LIFE = ["scheduled", "provisioning", "qualifying", "active", "ending", "terminated", "settled"]


def test_the_whole_life_and_its_side_ways_are_legal():
    for before, after in itertools.pairwise(LIFE):
        assert legal(State(before), State(after))
    for before, after in [("active", "degraded"), ("degraded", "replacing"), ("replacing", "active")]:
        assert legal(State(before), State(after))


def test_every_state_has_a_meaning_and_a_row_and_is_stable_or_transitional():
    assert set(MOVES) == set(MEANING) == set(State)
    assert set(State) == STABLE | TRANSITIONAL
    assert not STABLE & TRANSITIONAL


def test_nothing_leaves_a_final_state_and_all_are_reached():
    for state in FINAL:
        assert not MOVES[state]
    reached, frontier = {State.SCHEDULED}, [State.SCHEDULED]
    while frontier:
        for after in MOVES[frontier.pop()]:
            if after not in reached:
                reached.add(after)
                frontier.append(after)
    assert reached == set(State)


def test_a_final_state_is_entered_only_where_nothing_is_left_at_the_provider():
    for before, moves in MOVES.items():
        if FINAL & set(moves):
            assert before in (State.SCHEDULED, State.TERMINATED)


def test_from_every_state_that_is_not_final_an_end_can_be_reached():
    for start in set(State) - FINAL:
        reached, frontier = {start}, [start]
        while frontier:
            for after in MOVES[frontier.pop()]:
                if after not in reached:
                    reached.add(after)
                    frontier.append(after)
        assert reached & FINAL


def test_every_state_that_may_hold_nodes_can_be_left_for_the_end():
    for state in set(State) - FINAL - {State.SCHEDULED, State.ENDING, State.TERMINATED}:
        assert legal(state, State.ENDING)


def test_an_illegal_move_is_refused_with_what_would_be_right():
    with pytest.raises(Conflict, match=r"lease lea_1 is settled and cannot become active; .* it is final"):
        check("lea_1", State.SETTLED, State.ACTIVE)
    with pytest.raises(Conflict, match=r"may follow is provisioning, cancelled"):
        check("lea_1", State.SCHEDULED, State.ACTIVE)


def test_the_diagram_has_every_move_once():
    lines = mermaid().splitlines()
    for before, moves in MOVES.items():
        for after in moves:
            assert sum(line.startswith(f"    {before} --> {after}:") for line in lines) == 1
