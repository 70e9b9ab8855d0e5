"""`sublet qualify tune`: the plan for a node, its carrying out, and the way back."""

from __future__ import annotations

import re
from pathlib import Path

import click

from sublet.errors import InputError
from sublet.qualification.hosts import observing
from sublet.qualification.hosts.live import LiveHost
from sublet.qualification.hosts.ssh import SshHost
from sublet.qualification.judging.chips import chips
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.host import virtual
from sublet.qualification.judging.judge import judge
from sublet.qualification.judging.values import Expected, Judgement
from sublet.qualification.reading.host_files import HostFiles
from sublet.qualification.reading.values import Reading
from sublet.qualification.tuning.carry_out import carry_out, restore
from sublet.qualification.tuning.environment import environment
from sublet.qualification.tuning.journal import Journal
from sublet.qualification.tuning.plan import Situation, plan


def run(recorded: Path | None, host: str | None, place: Path, *, apply: bool, back: bool) -> None:
    """Show, do or undo. Raises InputError for what cannot be meant."""
    if recorded is not None and (host is not None or apply or back):
        raise InputError("--recorded is only looked at: it goes with none of --host, --apply, --restore")
    end = SshHost(host) if host else LiveHost()
    if back:
        for entry in restore(end, Journal(place)):
            click.echo(f"{entry.state:<12} {entry.remedy}{f': {entry.said}' if entry.said else ''}")
        return
    readings = observing.recorded(recorded) if recorded is not None else observing.observe(end)
    judgement = judge(readings)
    root = None
    if recorded is None:
        root = end.run(("id", "-u"), 10.0).out.strip() == b"0"
    steps = plan(judgement.findings, _situation(readings, judgement, root))
    if apply:
        for done in carry_out(steps, end, Journal(place), lambda: judge(observing.observe(end)).findings):
            click.echo(f"{done.state:<12} {done.check:<20} {done.remedy}{f': {done.said}' if done.said else ''}")
            if done.after:
                click.echo(f"{'':<12} {done.before} → {done.after}")
    else:
        for step in steps:
            word = "would do" if not step.refused or recorded is not None else "would not"
            click.echo(f"{word:<12} {step.finding.check:<20} {step.remedy.id}: {step.refused or step.finding.message}")
        if not steps:
            click.echo("nothing that has a remedy was found")
    made = environment(readings, Context(Expected(), chips().get(judgement.chip or "")))
    for line in (*made.shell().splitlines(), *(f"# {hint}" for hint in made.hints)):
        click.echo(line)


def _situation(readings: list[Reading], judgement: Judgement, root: bool | None) -> Situation:
    """What may be done: idle is only where the driver was asked and nobody computes."""
    machine = next((virtual(each.data) for each in readings if isinstance(each.data, HostFiles)), None)
    foreign = {each.outcome for each in judgement.findings if re.fullmatch(r"gpu\.foreign_process", each.check)}
    return Situation(root, machine, foreign == {"pass"} if foreign else None)
