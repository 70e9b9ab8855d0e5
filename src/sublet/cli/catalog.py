"""`sublet catalog`: accelerators, shapes and offers; what was imported, what stands, what it cost.

A lazy group: each command lies in a file of its own, which is imported when the command runs.
"""

from __future__ import annotations

from importlib import import_module

import click

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


class _Catalog(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=_Catalog)
def catalog() -> None:
    """Import, list and inspect accelerators, shapes and offers."""
