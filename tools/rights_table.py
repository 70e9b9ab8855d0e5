"""Write the tables of docs/security.md that are made from the broker's own data: who may do what.

python tools/rights_table.py

Invariant: the page says what `permit` does, for both read the same table.
"""

from __future__ import annotations

from marked import replace
from sublet.broker.tenants.rights import RIGHTS
from sublet.broker.tenants.values import ROLES

PAGE = "security.md"


def rights() -> str:
    """Every action, and the roles that may do it."""
    lines = [f"| action | {' | '.join(ROLES)} |", f"|---|{':-:|' * len(ROLES)}"]
    for action, allowed in sorted(RIGHTS.items()):
        lines.append(f"| `{action}` | {' | '.join('yes' if role in allowed else '' for role in ROLES)} |")
    return "\n".join(lines)


PARTS = {"rights": rights}

if __name__ == "__main__":
    for name, part in PARTS.items():
        replace(PAGE, name, part())
