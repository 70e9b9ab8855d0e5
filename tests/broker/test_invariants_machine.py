"""What must always hold, after every step of any story: a state machine over the whole broker.

A story is whatever people, providers and time may do to a broker of two tenants, three projects and a handful of nodes:
orders of every kind, changes of every term, faults of every kind, an operator who buys, cordons, repairs and caps, two
engines, and a process that dies at any commit or provider call. After each step the doctor looks, and so do checks of
our own that ask the tables and the provider's truth and none of the broker's code. In the end everything is settled.

More and longer stories: SUBLET_MACHINE_EXAMPLES=400 SUBLET_MACHINE_STEPS=50 (drawn by chance then, or by
`--hypothesis-seed=N`); on PostgreSQL with SUBLET_MACHINE_DATABASE=postgresql; with SUBLET_MACHINE_LOOK=4 the doctor
looks at every fourth step only, and the stories take half the time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import story_kit
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from story_checks import Checks, lived
from story_ground import Ground
from story_people import People

from sublet.broker.leases.states import State
from sublet.storage.engine import Database

EXAMPLES, STEPS = int(os.environ.get("SUBLET_MACHINE_EXAMPLES", "0")), int(os.environ.get("SUBLET_MACHINE_STEPS", "0"))
DATABASE = os.environ.get("SUBLET_MACHINE_DATABASE", "sqlite")


class Story(People, Ground, Checks):
    """See the module."""


@pytest.fixture
def tell(request, monkeypatch):
    """Tell so many stories of so many steps; returns how their leases ended."""
    reseed = story_kit.same_chance(monkeypatch)
    if DATABASE == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        memory = Path("/dev/shm")

        def make():
            folder = Path(tempfile.mkdtemp(prefix="sublet-story-", dir=memory if memory.is_dir() else None))
            shutil.copy(template, folder / "sublet.db")
            return Database.open(folder), lambda: shutil.rmtree(folder, ignore_errors=True)
    else:
        cluster = request.getfixturevalue("postgres")
        empty = request.getfixturevalue("postgresql_template")

        def make():
            url = cluster.create(empty)
            return Database.open(url), lambda: cluster.drop(url)

    def place():
        reseed()
        return make()

    def run(examples, steps, *, by_chance=False):
        lived.clear()
        run_state_machine_as_test(
            type("Story", (Story,), {"place": staticmethod(place)}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=not by_chance,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
        print(f"{lived.total()} leases: {dict(lived)}")
        return lived

    return run


def test_the_invariants_hold_after_every_step_of_a_few_stories(tell):
    assert tell(3, 8)[State.SETTLED] > 2


@pytest.mark.slow
def test_the_invariants_hold_after_every_step_of_any_story(tell):
    assert tell(EXAMPLES or 20, STEPS or 25, by_chance=bool(EXAMPLES))[State.SETTLED] > 10
