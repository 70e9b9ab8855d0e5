"""`sublet allocate`: rehearse who is served when: replay traces, compare policies, plan reservations.

Each command reads files, calls the allocation room and prints; no rule lives here, and each is imported when it runs.
"""

from __future__ import annotations

import click

from sublet.cli.lazy import LazyGroup

COMMANDS = {
    "replay": ("sublet.cli.allocate_replay", "replay", "Play a trace on a pool under a policy: waits, use, ETAs."),
    "compare": ("sublet.cli.allocate_compare", "compare", "Who gets a scarce good, under one rule and another."),
    "policy": ("sublet.cli.allocate_policy", "policy", "Show, check and list policies and their schema."),
    "reserve": ("sublet.cli.allocate_reserve", "reserve", "Accept reservation requests by bid price, and plan anew."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def allocate() -> None:
    """Rehearse who is served when, and what a policy does to whom."""
