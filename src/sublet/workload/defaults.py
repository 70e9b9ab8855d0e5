"""What is chosen where a job does not say: sequence length and global batch, each with the sentence that admits it.

Invariant: nothing is chosen silently; every function returns the value together with its assumption.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from sublet.errors import InputError
from sublet.units import format_count, parse_count
from sublet.workload.model import Model
from sublet.workload.parameters import count

_LONGEST = 8192  # tokens: what Llama 3 and its peers were pre-trained at before a short stage at full length
_UNKNOWN = 2048  # tokens: where a model does not say
_ROUNDING = 0.05  # of a batch given in tokens


def default_sequence(model: Model) -> tuple[int, str]:
    """Tokens per sequence: what the model was published for, at most 8,192."""
    if not model.context:
        return _UNKNOWN, f"sequence not given: {_UNKNOWN:,} tokens, since {model.name} states no context"
    sequence = min(model.context, _LONGEST)
    of = f"{model.name} was published for" if sequence == model.context else "models are pre-trained at, as a rule"
    return sequence, f"sequence not given: {sequence:,} tokens, which {of}"


def default_batch(model: Model, task: str, sequence: int) -> tuple[int, str]:
    """Sequences per optimizer step, by the published practice for a model of that size (data/defaults.csv)."""
    total = count(model).total
    row = next(
        row
        for row in _rows()
        if row["task"] == task and (not row["up_to_params"] or total <= parse_count(row["up_to_params"]))
    )
    number, noun = row["batch"].split()
    tokens = parse_count(number) if noun == "tokens" else None
    sequences = 1 if tokens is not None and tokens < sequence else parse_batch(row["batch"], sequence)[0]
    return sequences, f"global batch not given: {_both(sequences, sequence)}, after {row['source']}"


def parse_batch(text: str, sequence: int, what: str = "global_batch") -> tuple[int, str]:
    """Sequences per step from "512 sequences" or "4M tokens", and the assumption that a figure in tokens takes.

    A batch in tokens becomes the roundest number of sequences within 5 %: people write 4M for 2^22.
    """
    example = "write for example '4M tokens' or '512 sequences'"
    words = text.strip().split()
    noun = words[-1].lower() if words else ""
    if noun in ("sequence", "sequences", "seqs"):
        number = parse_count(text.strip()[: -len(noun)], what, "sequences")
        if number != int(number) or number < 1:
            raise InputError(f"{what} {text!r} is not a whole number of sequences: {example}")
        return int(number), ""
    if noun not in ("token", "tokens"):
        raise InputError(f"{what} {text!r} does not say whether it counts tokens or sequences: {example}")
    tokens = parse_count(text, what)
    if tokens < sequence:
        raise InputError(f"{what} {text!r} is less than one sequence of {sequence:,} tokens: {example}")
    sequences = _roundest(tokens / sequence)
    if sequences * sequence == tokens:
        return sequences, ""
    return sequences, f"a global batch of {format_count(tokens)} tokens is taken as {_both(sequences, sequence)}"


def _both(sequences: int, sequence: int) -> str:
    return f"{sequences:,} sequences ({format_count(sequences * sequence)} tokens)"


def _roundest(wanted: float) -> int:
    """The whole number within 5 % of `wanted` that holds the highest power of two, the nearest of those."""
    power = 1
    while power * 2 <= wanted * (1 + _ROUNDING):
        power *= 2
    while power > 1:
        candidate = max(1, round(wanted / power)) * power
        if abs(candidate / wanted - 1) <= _ROUNDING:
            return candidate
        power //= 2
    return max(1, round(wanted))


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with Path(__file__).with_name("data").joinpath("defaults.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
