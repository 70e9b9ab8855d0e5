"""Draw the states of a lease into docs/lease-states.md, from the table that the broker checks every move against.

    .venv/bin/python tools/state_diagram.py

Invariant: the page says nothing about the machine that is not in the table; a test compares the two.
"""

from __future__ import annotations

import marked
from sublet.broker.leases.states import FINAL, MEANING, MOVES, STABLE, State, mermaid

PAGE = "lease-states.md"


def diagram() -> str:
    """The machine as a Mermaid state diagram."""
    return f"```mermaid\n{mermaid()}\n```"


def states() -> str:
    """One row per state: what it means, and of which kind it is."""
    rows = ["| state | kind | what it means |", "| --- | --- | --- |"]
    for state in State:
        kind = "final" if state in FINAL else "stable" if state in STABLE else "transitional"
        rows.append(f"| `{state}` | {kind} | {MEANING[state]} |")
    return "\n".join(rows)


def moves() -> str:
    """One row per legal move, with its reason."""
    rows = ["| from | to | because |", "| --- | --- | --- |"]
    for before, after in MOVES.items():
        rows += [f"| `{before}` | `{state}` | {reason} |" for state, reason in after.items()]
    return "\n".join(rows)


PARTS = {"lease diagram": diagram, "lease states": states, "lease moves": moves}


if __name__ == "__main__":
    for part, make in PARTS.items():
        marked.replace(PAGE, part, make())
