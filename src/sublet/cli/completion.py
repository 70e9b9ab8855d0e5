"""`sublet completion`: the lines that make a shell complete commands, options and their values."""

from __future__ import annotations

import click

WHERE = {
    "bash": 'eval "$(sublet completion bash)"            # in ~/.bashrc',
    "zsh": 'eval "$(sublet completion zsh)"             # in ~/.zshrc',
    "fish": "sublet completion fish | source             # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(WHERE.values()))
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion(shell: str) -> None:
    """Print what makes SHELL complete `sublet`; put the line below into its start file."""
    from click.shell_completion import get_completion_class

    from sublet.cli import cli

    made = get_completion_class(shell)
    assert made is not None, "click knows these three"
    complete = made(cli, {}, "sublet", "_SUBLET_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())  # without asking which version of bash is here
