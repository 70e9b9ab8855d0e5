"""`sublet qualify`: prove this machine, a node over SSH, or what was recorded of one."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sublet.qualification.judging.values import Expected
    from sublet.qualification.reading.values import Reading

_STYLES = {
    "critical": "red",
    "fail": "red",
    "warning": "yellow",
    "unknown": "yellow",
    "incomplete": "yellow",
    "pass": "green",
    "info": "green",
}
_EXITS = {"critical": 1, "unknown": 3}  # with --check; everything else is 0


@click.group(invoke_without_command=True)
@click.option("--recorded", metavar="FILE|DIR", type=click.Path(path_type=Path), help="Judge this output or recording.")
@click.option("--host", metavar="USER@NODE", help="Judge a node over SSH.")
@click.option("--as", "sold", metavar="WORDS", help='What was sold: "H100 SXM x8, 8x400G".')
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Also write a page with curves.")
@click.option("--check", is_flag=True, help="Exit with 1 where the verdict is critical, with 3 where it is unknown.")
@click.pass_context
def qualify(
    ctx: click.Context,
    recorded: Path | None,
    host: str | None,
    sold: str | None,
    as_json: bool,
    html: Path | None,
    check: bool,
) -> None:
    """Prove a node: this machine, one over SSH, or one that was recorded.

    A recording is any output of a known tool (nvidia-smi, ibstat, dmesg, dcgmi, nccl-tests, ...), a directory of such,
    or what `sublet qualify record` wrote. The tool is told by what stands in the file.
    """
    if ctx.invoked_subcommand is not None:
        return
    from sublet.errors import InputError
    from sublet.qualification.judging.document import document
    from sublet.qualification.judging.expectation import expected
    from sublet.qualification.judging.judge import judge

    if recorded is not None and host is not None:
        raise InputError("--recorded and --host name two nodes: give one")
    wanted = expected(sold) if sold is not None else None
    readings: list[Reading] = []
    if recorded is None and host is None:
        from sublet.qualification.hosts.here import judge_here

        judgement = judge_here(wanted)
    else:
        from sublet.qualification.hosts import observing

        if recorded is not None:
            readings = observing.recorded(recorded)
        else:
            from sublet.qualification.hosts.ssh import SshHost

            readings = observing.observe(SshHost(host or ""))
            if not readings:
                raise InputError(f"--host {host}: no tool answered there; is it reached by `ssh {host}`?")
        judgement = judge(readings, wanted)
    told = document(judgement)
    if html is not None:
        _write_page(html, told, readings, wanted)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told)
    if check:
        ctx.exit(_EXITS.get(judgement.verdict, 0))


def _write_page(place: Path, told: dict[str, Any], readings: list[Reading], wanted: Expected | None) -> None:
    from sublet.cli.html_qualification import page
    from sublet.errors import InputError
    from sublet.qualification.judging.chips import chips
    from sublet.qualification.judging.context import Context
    from sublet.qualification.judging.values import Expected

    context = Context(wanted or Expected(), chips().get(told["chip"] or ""))
    at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    try:
        place.write_text(page(told, readings, context, at), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--html {place}: {error.strerror or error}") from None


def _show(told: dict[str, Any]) -> None:
    """The document for a person: what matters first, what passed in one line."""
    what = " × ".join(str(each) for each in (told["count"], told["chip"]) if each)
    word = click.style(told["verdict"], fg=_STYLES.get(told["verdict"]), bold=True)
    grade = f", grade {told['grade']}" if told["grade"] else ", not graded"
    click.echo(
        f"{word}  {told['kind']}{f', {what}' if what else ''}{grade} ({told['coverage']:.0%} of the required checks)"
    )
    passed = [each["check"] for each in told["findings"] if each["outcome"] == "pass"]
    for each in told["findings"]:
        if each["outcome"] in ("fail", "incomplete"):
            mark = click.style(f"{each['outcome']:<10}", fg=_STYLES[each["outcome"]])
            click.echo(f"  {mark} {each['severity']:<8} {each['check']:<24} {each['message']}")
            if each["remedy"]:
                click.echo(f"  {'':<44} → {each['remedy']}")
    if passed:
        click.echo(f"  {click.style('passed', fg='green')}     {', '.join(dict.fromkeys(passed))}")


@qualify.command("record")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", metavar="USER@NODE", help="Record a node over SSH.")
def record(folder: Path, host: str | None) -> None:
    """Keep what this machine's tools say, for a support case or a later verdict."""
    from sublet.qualification.hosts import observing
    from sublet.qualification.hosts.live import LiveHost
    from sublet.qualification.hosts.ssh import SshHost

    answered = observing.record(SshHost(host) if host else LiveHost(), folder)
    click.echo(f"{folder}: {answered} of {len(observing.commands())} commands answered")


@qualify.command("watch")
@click.option("--every", "period_s", metavar="SECONDS", type=click.FloatRange(min=0.1), default=60.0, show_default=True)
@click.option("--times", type=click.IntRange(min=1), help="End after so many rounds; without it, never.")
def watch(period_s: float, times: int | None) -> None:
    """Watch this machine's counters and its kernel's log while a job runs; one JSON line a round.

    A round starts no process. A GPU's own counters need the package nvidia-ml-py.
    """
    import itertools
    import time

    from sublet.qualification.hosts.watch import Watcher, library

    watcher = Watcher(nvml=library())
    try:
        for number in itertools.count(1):
            seen = watcher.round()
            line = {
                "schema": "sublet.qualification.round/1",
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "counters": seen.counters,
                "cpu_s": round(seen.cpu_s, 6),
                "findings": [
                    {"check": f.check, "outcome": f.outcome, "severity": f.severity, "message": f.message}
                    for f in seen.findings
                    if f.outcome != "pass"
                ],
            }
            click.echo(json.dumps(line, ensure_ascii=False))
            if times is not None and number >= times:
                return
            time.sleep(period_s)
    finally:
        watcher.close()


@qualify.command("tune")
@click.option("--recorded", metavar="FILE|DIR", type=click.Path(path_type=Path), help="Plan for a recording.")
@click.option("--host", metavar="USER@NODE", help="Tune a node over SSH.")
@click.option("--apply", is_flag=True, help="Do it; without it only the plan is shown.")
@click.option("--restore", "back", is_flag=True, help="Put back everything that the journal holds.")
@click.option("--journal", type=click.Path(path_type=Path), default=Path("sublet-tuning.jsonl"), show_default=True)
def tune(recorded: Path | None, host: str | None, apply: bool, back: bool, journal: Path) -> None:
    """Mend what can be mended: one remedy at a time, observed again, kept or undone, all of it in a journal."""
    from sublet.cli.tune import run

    run(recorded, host, journal, apply=apply, back=back)
