"""What `quote` and `compare` read before they think: the job from a file and options, the offers of a day.

The clock is read here and nowhere below. Invariant: an option wins over the file, and a message about an option names
the option.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sublet.catalog.table import OfferTable
    from sublet.quote.columns import Columns
    from sublet.quote.priced import Plan
    from sublet.workload.job import TrainingJob

F = TypeVar("F", bound=Callable[..., Any])

_JOB_OPTIONS = (
    click.option("--model", metavar="NAME", help="Built-in model such as mpt-30b, or a Hugging Face config.json."),
    click.option("--tokens", metavar="N", help="Tokens trained in the whole run: 1T, 300B."),
    click.option("--task", metavar="TASK", help="pretrain, finetune or lora."),
    click.option("--sequence", type=int, metavar="N", help="Tokens per sequence."),
    click.option("--batch", "--global-batch", "global_batch", metavar="N", help="Per step: 2048 or '4M tokens'."),
    click.option("--precision", metavar="FORMAT", help="bf16, fp16, fp8, int8, fp4, fp32 or tf32."),
    click.option("--framework", metavar="NAME", help="PyTorch, JAX, TensorFlow, PaddlePaddle, Megatron, ..."),
    click.option("--country", metavar="CODE", help="The user's country, for export rules: CN."),
)
_WISH_OPTIONS = (
    click.option("--deadline", metavar="TIME", help="Longest that the run may take: 30d."),
    click.option("--budget", metavar="MONEY", help="Most that it may cost: 900kUSD."),
    click.option(
        "--count", "--counts", "counts", metavar="N,...", multiple=True, help="Exactly these counts: 256,512."
    ),
    click.option("--min-count", type=int, metavar="N", help="Fewest accelerators."),
    click.option("--max-count", type=int, metavar="N", help="Most accelerators."),
    click.option("--accelerators", metavar="NAME,...", multiple=True, help='Only these: "H100 SXM,A100".'),
    click.option("--avoid-accelerators", metavar="NAME,...", multiple=True, help="None of these."),
    click.option("--providers", metavar="NAME,...", multiple=True, help="Only these: aws,lambda."),
    click.option("--avoid-providers", metavar="NAME,...", multiple=True, help="None of these."),
    click.option("--regions", metavar="NAME,...", multiple=True, help='Only these: us-east-1, or all of "eu".'),
    click.option("--avoid-regions", metavar="NAME,...", multiple=True, help="None of these."),
    click.option("--spot", is_flag=True, help="Spot offers too: they can be taken away."),
    click.option("--market", "markets", metavar="NAME,...", multiple=True, help="on-demand, spot, reserved-1y, ..."),
)
_CATALOG_OPTIONS = (
    click.option(
        "--calibration", type=click.Path(path_type=Path), help="Coefficients to use instead of those shipped."
    ),
    click.option("--catalog", multiple=True, type=click.Path(path_type=Path), help="Use these files, not the store."),
    click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Only what was seen by that day."),
)


def job_options(command: F) -> F:
    """The options that describe the run."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_JOB_OPTIONS), command)


def wish_options(command: F) -> F:
    """The options that say what is acceptable."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_WISH_OPTIONS), command)


def catalog_options(command: F) -> F:
    """The options that choose the offers."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_CATALOG_OPTIONS), command)


def read_job(path: Path | None, options: dict[str, Any]) -> TrainingJob:
    """The job of a file, of options, or of a file with options on top.

    Raises InputError where both are missing, or where either is at fault.
    """
    from sublet.errors import InputError
    from sublet.workload.spec import job_from_options, load_job, overrides_from_options

    given = {name: _split(name, value) for name, value in options.items()}
    if path is not None:
        return load_job(path, overrides_from_options(**given))
    model, tokens = given.pop("model"), given.pop("tokens")
    if not model:
        raise InputError(
            "no job: give a file (sublet quote examples/mpt-30b.yaml) or --model and --tokens "
            "(sublet quote --model mpt-30b --tokens 1T)"
        )
    return job_from_options(model, tokens, **given)


def words_of(values: Sequence[str]) -> list[str]:
    """The words of an option that may be repeated and may hold several with commas between them."""
    return [word.strip() for part in values for word in str(part).split(",") if word.strip()]


def _split(name: str, value: Any) -> Any:
    """Lists may be given by repeating an option or with commas; counts are whole numbers."""
    if not isinstance(value, tuple):
        return value
    words = words_of(value)
    if name != "counts":
        return words
    from sublet.errors import InputError

    try:
        return [int(word.replace("_", "")) for word in words]
    except ValueError:
        raise InputError(
            f"--count {','.join(words)!r}: give whole numbers of accelerators, for example 256,512"
        ) from None


def planner(calibration: Path | None) -> Plan:
    """The estimator with the coefficients of a file, or with those shipped.

    Raises InputError where the file holds no coefficients.
    """
    from sublet.estimate.plan import plan

    if calibration is None:
        return plan
    from sublet.errors import InputError
    from sublet.estimate.calibration import Calibration

    try:
        coefficients = Calibration.from_json(calibration.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--calibration: {calibration} cannot be read: {error}") from error
    return lambda job, machines: plan(job, machines, coefficients)


@dataclass(frozen=True)
class Offers:
    """The offers of a day."""

    columns: Columns
    as_of: date
    today: date


def read_offers(paths: Sequence[Path], as_of: datetime | date | None) -> Offers:
    """The catalogue as it stood on a day: the newest day on which anything was seen, where none is named.

    `paths`: files or folders to read instead of the store. Raises InputError for a file that cannot be used.
    """
    from sublet.catalog.asof import standing
    from sublet.catalog.store import open_catalog
    from sublet.quote.columns import from_table

    today = datetime.now().astimezone().date()
    table = _read_files(paths) if paths else open_catalog()
    day = as_of.date() if isinstance(as_of, datetime) else as_of
    if day is None:
        seen = table.ints("verified")
        day = date.fromordinal(int(seen.max())) if len(seen) else today
    return Offers(from_table(standing(table, day)), day, today)


def _read_files(paths: Sequence[Path]) -> OfferTable:
    """The offers of some files, joined in time."""
    from sublet.catalog.asof import assemble
    from sublet.catalog.importing import find_files, read_files
    from sublet.errors import InputError

    files, _ = find_files(paths)
    loaded = [result.loaded.offers for result in read_files(files) if result.usable and result.loaded is not None]
    if not loaded:
        named = ", ".join(str(path) for path in paths)
        raise InputError(f"--catalog {named}: no offers in there; `sublet catalog import` says of each file why")
    return assemble(loaded)
