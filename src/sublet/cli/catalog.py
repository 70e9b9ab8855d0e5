"""`sublet catalog`: accelerators, shapes and offers; what was imported, what stands, what it cost.

A lazy group: each command lies in a file of its own, which is imported when the command runs.
"""

from __future__ import annotations

import click

from sublet.cli.lazy import LazyGroup

# command -> (module, attribute, one line for --help)
COMMANDS = {
    "import": (
        "sublet.cli.catalog_import",
        "import_",
        "Read price lists into your catalogue and say what was refused.",
    ),
    "list": ("sublet.cli.catalog_list", "list_", "Offers that stood on a day, cheapest trustworthy first."),
    "show": (
        "sublet.cli.catalog_show",
        "show",
        "Everything known of an accelerator or an instance type, with sources.",
    ),
    "history": ("sublet.cli.catalog_history", "history", "What an accelerator cost over time: plot, PNG, SVG, CSV."),
    "sources": ("sublet.cli.catalog_sources", "sources", "Where the offers come from, and under which licence."),
    "doctor": ("sublet.cli.catalog_doctor", "doctor", "Refused rows, old prices, ambiguous names, contradictions."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def catalog() -> None:
    """Import, list and inspect accelerators, shapes and offers."""
