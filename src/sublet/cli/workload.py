"""`sublet workload`: write a job spec, check it, print its schema, list the built-in models.

Each command reads what it is given, asks the workload room and prints; no rule about jobs lives here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sublet.workload.job import Constraints, TrainingJob

CHECK_SCHEMA = "sublet.workload.check/1"
MODELS_SCHEMA = "sublet.workload.models/1"

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group()
def workload() -> None:
    """Write, check and describe job specs and models."""


@workload.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", default="mpt-30b", show_default=True, metavar="NAME", help="Built-in model to start from.")
def init(path: Path | None, model: str) -> None:
    """Write a commented job spec to PATH, or to standard output; never over an existing file."""
    from sublet.errors import InputError
    from sublet.workload.template import template

    text = template(model)
    if path is None:
        click.echo(text, nl=False)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{str(path)!r} exists already: give another path, or remove it first") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {path}; next: sublet workload check {path}")


@workload.command()
@click.argument("file", type=click.Path(path_type=Path))
@_JSON
def check(file: Path, as_json: bool) -> None:
    """Say what a job spec means: parameters, FLOP, memory of the weights, and every assumption."""
    from sublet.workload.spec import load_job

    job = load_job(file)
    if as_json:
        click.echo(json.dumps(_document(job), indent=1, allow_nan=False))
        return
    click.echo(f"{job.name}: {_TASKS[job.task]} of {job.model.name}")
    _columns(_facts(job))
    if job.assumptions:
        click.echo("\nNot stated, so assumed:")
        for sentence in job.assumptions:
            click.echo(f"  - {sentence}")


@workload.command()
def schema() -> None:
    """Print the JSON Schema of a job spec, for completion and checks in an editor."""
    from sublet.workload.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@workload.command()
@click.argument("words", nargs=-1)
@_JSON
def models(words: tuple[str, ...], as_json: bool) -> None:
    """List the built-in models, or those whose name holds all WORDS."""
    from sublet.errors import InputError
    from sublet.workload.builtin import models as builtin_models

    wanted = [word.casefold() for word in words]
    names = [name for name in builtin_models() if all(word in name for word in wanted)]
    if not names:
        raise InputError(
            f"no built-in model has {' and '.join(words)!r} in its name: `sublet workload models` lists all"
        )
    rows = [_model_row(name) for name in names]
    if as_json:
        click.echo(json.dumps({"schema": MODELS_SCHEMA, "models": rows}, indent=1))
        return
    from sublet.units import format_count

    headings = ("model", "parameters", "active", "layers", "hidden", "context", "dimensions from")
    table = [
        (
            row["name"],
            format_count(row["parameters"]),
            format_count(row["active_parameters"]) if row["active_parameters"] != row["parameters"] else "",
            str(row["layers"]),
            f"{row['hidden']:,}",
            f"{row['context']:,}" if row["context"] else "",
            row["source"],
        )
        for row in rows
    ]
    _table(headings, table)
    click.echo(f"{len(rows)} models; published counts and their sources: sublet workload models --json")


_TASKS = {"pretrain": "pre-training", "finetune": "full fine-tuning", "lora": "LoRA fine-tuning"}


def _facts(job: TrainingJob) -> Iterable[tuple[str, str]]:
    """Label and text of everything that the job means."""
    from sublet.units import format_bytes, format_count, format_si
    from sublet.workload.flops import job_flop, job_flop_per_token
    from sublet.workload.parameters import count, lora_count
    from sublet.workload.size import state_bytes

    parameters, state = count(job.model), state_bytes(job)
    batch = job.global_batch * job.sequence
    active = f", {format_count(parameters.active)} active per token" if parameters.active != parameters.total else ""
    yield "parameters", f"{format_count(parameters.total)}{active}"
    if job.lora is not None:
        targets = ", ".join(job.lora.targets)
        yield "adapters", f"{format_count(lora_count(job.model, job.lora))}, rank {job.lora.rank} on {targets}"
    yield "tokens", f"{format_count(job.tokens)} in {job.tokens / batch:,.0f} steps"
    yield "step", f"{job.global_batch:,} sequences of {job.sequence:,} = {format_count(batch)} tokens"
    yield "FLOP", f"{job_flop(job):.3g} ({format_si(job_flop_per_token(job), 'FLOP')} per token, causal attention)"
    yield "runs as", f"{job.precision}, {job.framework}, {job.optimizer}"
    yield "weights", format_bytes(state.weights)
    yield "with gradients and AdamW states", f"{format_bytes(state.total)}, activations not counted"
    layout = {key: value for key, value in vars(job.layout).items() if value is not None}
    if layout:
        yield "layout", ", ".join(f"{key} {value}" for key, value in layout.items())
    yield "accepts", "; ".join(_limits(job.constraints)) or "anything"


def _limits(constraints: Constraints) -> Iterable[str]:
    from sublet.units import format_duration_days, format_money

    if constraints.deadline_s is not None:
        yield f"at most {format_duration_days(constraints.deadline_s)}"
    if constraints.budget is not None:
        yield f"at most {format_money(constraints.budget)}"
    if constraints.counts:
        yield f"{', '.join(f'{count:,}' for count in constraints.counts)} accelerators"
    if constraints.min_count:
        yield f"{constraints.min_count:,} accelerators or more"
    if constraints.max_count:
        yield f"{constraints.max_count:,} accelerators or fewer"
    for kind in ("accelerators", "providers", "regions"):
        if wanted := getattr(constraints, kind):
            yield f"{kind} {', '.join(wanted)}"
        if avoided := getattr(constraints, f"avoid_{kind}"):
            yield f"no {', '.join(avoided)}"
    yield f"offers {', '.join(constraints.markets)}"
    if constraints.country:
        yield f"user in {constraints.country}"
    if constraints.on:
        yield f"as of {constraints.on.isoformat()}"


def _document(job: TrainingJob) -> dict[str, Any]:
    """What `check --json` prints."""
    from dataclasses import asdict

    from sublet.workload.describe import job_to_mapping
    from sublet.workload.flops import job_flop, job_flop_per_token
    from sublet.workload.parameters import count, lora_count
    from sublet.workload.size import state_bytes

    parameters = asdict(count(job.model))
    if job.lora is not None:
        parameters["adapters"] = lora_count(job.model, job.lora)
    return {
        "schema": CHECK_SCHEMA,
        "job": job_to_mapping(job),
        "parameters": parameters,
        "flop_per_token": job_flop_per_token(job),
        "flop": job_flop(job),
        "steps": job.tokens / (job.global_batch * job.sequence),
        "bytes": asdict(state_bytes(job)),
        "assumptions": list(job.assumptions),
    }


def _model_row(name: str) -> dict[str, Any]:
    """One built-in model with our count, the published one and where each comes from."""
    from sublet.workload.builtin import models as builtin_models
    from sublet.workload.builtin import published
    from sublet.workload.parameters import count

    model, stated = builtin_models()[name], published()[name]
    parameters = count(model)
    return {
        "name": name,
        "parameters": parameters.total,
        "active_parameters": parameters.active,
        "layers": model.layers,
        "hidden": model.hidden,
        "context": model.context,
        "source": model.source,
        "published_parameters": stated.total,
        "published_active_parameters": stated.active or None,
        "published_source": stated.source,
        "date": stated.date,
    }


def _columns(facts: Iterable[tuple[str, str]]) -> None:
    rows = list(facts)
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        click.echo(f"  {label:<{width}}  {text}")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; figures to the right, words to the left."""
    widths = [max(len(row[at]) for row in (headings, *rows)) for at in range(len(headings))]
    words = (0, len(headings) - 1)
    for row in (headings, *rows):
        cells = (
            cell.ljust(width) if at in words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        click.echo("  ".join(cells).rstrip())
