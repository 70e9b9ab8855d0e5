"""Job specs: from a YAML file, a mapping or a few options to a complete, consistent `TrainingJob`.

Invariant: what a spec leaves out is chosen by a rule and admitted in `job.assumptions`; a job that comes out of here
needs no further question. Reading files is left to `document` and `huggingface`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sublet.errors import InputError
from sublet.units import format_count, parse_count
from sublet.workload.consistency import check_job
from sublet.workload.decode import Origin, decode, dotted
from sublet.workload.defaults import default_batch, default_sequence, parse_batch
from sublet.workload.document import KeyPath, read_yaml
from sublet.workload.job import Layout, Lora, TrainingJob
from sublet.workload.schema import ConstraintsSpec, JobSpec
from sublet.workload.spec_constraints import read_constraints
from sublet.workload.spec_model import reaching, read_model

_LORA_RANK = 16
_OPTIONS = {"lora": "--lora-rank", "counts": "--count", "markets": "--market"}  # where the name is not the key's
_ADAM = ("adam", "adamw")
_RIVALS: Mapping[KeyPath, set[KeyPath]] = {
    ("tokens",): {("epochs",), ("dataset",)},
    ("constraints", "counts"): {("constraints", "min_count"), ("constraints", "max_count")},
}


def load_job(path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainingJob:
    """The job in a YAML file; `overrides` (as for `job_from_mapping`) come from the command line and win.

    Raises InputError with file and line, or with the option's name where an override is at fault.
    """
    document = read_yaml(Path(path))
    given = _paths(overrides or {})

    def label(where: KeyPath) -> str:
        return _option(where) if where in given else dotted(where)

    def line(where: KeyPath) -> str | None:
        return None if where in given else document.where(where)

    origin = Origin(label=label, where=line, folder=Path(path).parent)
    base = _without_rivals(document.data, given)
    return _job(decode(_merged(base, overrides or {}), origin), origin)


def job_from_mapping(data: Mapping[str, Any], folder: str | Path = ".") -> TrainingJob:
    """The job that a mapping with the keys of the schema describes; `folder` is where relative paths start."""
    origin = Origin(label=dotted, where=lambda path: None, folder=Path(folder))
    return _job(decode(data, origin), origin)


def job_from_options(model: str, tokens: str | float | None, **options: Any) -> TrainingJob:
    """The job of `sublet quote --model M --tokens T ...`; `options` as for `overrides_from_options`.

    Raises InputError that names the option.
    """
    origin = Origin(label=_option, where=lambda path: None, folder=Path())
    data = {"model": model, "tokens": tokens, **overrides_from_options(**options)}
    return _job(decode(data, origin), origin)


def overrides_from_options(**options: Any) -> dict[str, Any]:
    """Options of the command line as a spec: `deadline="30d"` becomes {"constraints": {"deadline": "30d"}}.

    Keys of the layout (tp, pp, ...) and `lora_rank` find their section too; None and empty values are left out.
    """
    spec: dict[str, Any] = {}
    for key, value in options.items():
        if value is None or value is False or (isinstance(value, str | list | tuple) and not value):
            continue
        if key == "lora_rank":
            spec.setdefault("lora", {})["rank"] = value
        elif key in ConstraintsSpec.__struct_fields__:
            spec.setdefault("constraints", {})[key] = list(value) if isinstance(value, tuple) else value
        elif key in Layout.__dataclass_fields__:
            spec.setdefault("layout", {})[key] = value
        else:
            spec[key] = value
    return spec


def _option(path: KeyPath) -> str:
    """The command line's name of a key."""
    names = [step for step in path if isinstance(step, str)]
    if not names:
        return "the job"
    return _OPTIONS.get(names[0]) or _OPTIONS.get(names[-1]) or f"--{names[-1].replace('_', '-')}"


def _without_rivals(base: Mapping[str, Any], given: set[KeyPath]) -> dict[str, Any]:
    """The file's data without the keys that an override answers in another way (tokens instead of epochs, ...)."""
    rivals: set[KeyPath] = set()
    for winner, losers in _RIVALS.items():
        rivals |= losers if winner in given else set()
    kept = {key: value for key, value in base.items() if (key,) not in rivals}
    if isinstance(constraints := kept.get("constraints"), Mapping):
        kept["constraints"] = {k: value for k, value in constraints.items() if ("constraints", k) not in rivals}
    return kept


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `overrides`, section by section."""
    merged = dict(base)
    for key, value in overrides.items():
        inner = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        merged[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return merged


def _paths(data: Mapping[str, Any], prefix: KeyPath = ()) -> set[KeyPath]:
    """The path of every value that `data` sets."""
    paths: set[KeyPath] = set()
    for key, value in data.items():
        paths |= _paths(value, (*prefix, key)) if isinstance(value, Mapping) else {(*prefix, key)}
    return paths


def _job(spec: JobSpec, origin: Origin) -> TrainingJob:
    assumptions: list[str] = []
    model, notes = read_model(spec.model, origin)
    assumptions += notes
    task = spec.task or ("lora" if spec.lora else "pretrain")
    if not spec.task:
        assumptions.append(f"task not given: {task}")
    sequence = spec.sequence
    if sequence is None:
        sequence, note = default_sequence(model)
        assumptions.append(note)
    model, notes = reaching(model, sequence)
    assumptions += notes
    if spec.global_batch is None:
        batch, note = default_batch(model, task, sequence)
    else:
        with origin.at("global_batch"):
            batch, note = parse_batch(spec.global_batch, sequence, origin.label(("global_batch",)))
    if note:
        assumptions.append(note)
    chosen: dict[str, str | None] = {
        "precision": spec.precision,
        "framework": spec.framework,
        "optimizer": spec.optimizer,
    }
    for key, default in (("precision", "bf16"), ("framework", "PyTorch"), ("optimizer", "adamw")):
        if chosen[key] is None:
            assumptions.append(f"{key} not given: {default}")
            chosen[key] = default
    if chosen["optimizer"] not in _ADAM:
        assumptions.append(f"memory of the optimizer {chosen['optimizer']} is counted like AdamW's, which keeps more")
    lora = None
    if spec.lora is not None:
        lora = Lora(spec.lora.rank, tuple(dict.fromkeys(spec.lora.targets)))
    elif task == "lora":
        lora = Lora(_LORA_RANK)
        assumptions.append(f"lora not given: rank {_LORA_RANK} on {', '.join(lora.targets)}")
    job = TrainingJob(
        name=spec.name or (model.name if task == "pretrain" else f"{model.name} {task}"),
        model=model,
        task=task,
        tokens=_tokens(spec, origin),
        sequence=sequence,
        global_batch=batch,
        precision=chosen["precision"] or "",
        framework=chosen["framework"] or "",
        optimizer=chosen["optimizer"] or "",
        lora=lora,
        layout=Layout(**{key: getattr(spec.layout, key) for key in Layout.__dataclass_fields__}),
        constraints=read_constraints(spec.constraints, origin),
        assumptions=tuple(assumptions),
    )
    check_job(job, origin)
    return job


def _tokens(spec: JobSpec, origin: Origin) -> float:
    """Tokens of the run: stated, or passes over a data set."""
    if spec.tokens is not None:
        for key in ("epochs", "dataset"):
            if getattr(spec, key) is not None:
                raise origin.error((key,), "stands beside tokens: give tokens, or epochs and dataset")
        return _positive_count(spec.tokens, "tokens", origin)
    if spec.dataset is None:
        path: KeyPath = ("tokens",)
        need = "is missing: give for example 1T, or dataset and epochs"
        raise InputError(f"{origin.label(path)} {need}", origin.where(path))
    return (spec.epochs or 1.0) * _positive_count(spec.dataset, "dataset", origin)


def _positive_count(value: str | float, key: str, origin: Origin) -> float:
    with origin.at(key):
        tokens = parse_count(value, origin.label((key,)))
    if tokens <= 0:
        raise origin.error((key,), f"{format_count(tokens)} must be greater than zero: write for example 1T")
    return tokens
