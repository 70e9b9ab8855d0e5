"""From plain data to a `JobSpec`: every refusal is one sentence that names the key, the value and what would be right.

Invariant: what the schema refuses is refused here with the place in the file; nothing is corrected silently but the
spelling of a word ("pytorch" and "torch" are PyTorch).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from sublet.errors import InputError
from sublet.workload import schema
from sublet.workload.document import KeyPath

_SECTIONS: Mapping[KeyPath, type[schema.Section]] = {
    (): schema.JobSpec,
    ("model",): schema.ModelSpec,
    ("model", "experts"): schema.ExpertsSpec,
    ("model", "latent"): schema.LatentSpec,
    ("lora",): schema.LoraSpec,
    ("layout",): schema.LayoutSpec,
    ("constraints",): schema.ConstraintsSpec,
}
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a mapping of keys to values",
    "array": "a list",
}


@dataclass(frozen=True)
class Origin:
    """Where the data came from: how to name a key, where it stands, and what relative paths start from."""

    label: Callable[[KeyPath], str]
    where: Callable[[KeyPath], str | None]
    folder: Path

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Gives an InputError raised inside the place of the value at `path`."""
        try:
            yield
        except InputError as error:
            where = self.where(path)
            raise (error.at(where) if where else error) from None

    def error(self, path: KeyPath, sentence: str) -> InputError:
        """An error about the value at `path`; `sentence` goes on from the key's name."""
        return InputError(f"{self.label(path)} {sentence}", self.where(path))


def dotted(path: KeyPath) -> str:
    """ "constraints.counts[1]"."""
    words = (step if isinstance(step, int) or step.isidentifier() else repr(step) for step in path)
    text = "".join(f"[{word}]" if isinstance(word, int) else f".{word}" for word in words)
    return text.removeprefix(".") or "the spec"


def decode(data: Mapping[str, Any], origin: Origin) -> schema.JobSpec:
    """The spec that `data` is; InputError for unknown keys, wrong types and values outside their range."""
    text = _as_text(data)
    for path, section, mapping in _sections(text):
        _refuse_unknown(path, section, mapping, origin)
        _canonical(section, mapping)
    try:
        return msgspec.convert(text, schema.JobSpec, strict=False)
    except msgspec.ValidationError as error:
        raise _sentence(str(error), text, origin) from None


def _as_text(value: Any) -> Any:
    """Scalars as the text that a YAML file would hold, so that a mapping and a file are read alike."""
    if isinstance(value, Mapping):
        return {str(key): _as_text(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if value is None else str(value)


def _sections(data: dict[str, Any]) -> Iterator[tuple[KeyPath, type[schema.Section], dict[str, Any]]]:
    for path, section in _SECTIONS.items():
        part: Any = data
        for step in path:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict):
            yield path, section, part


def _refuse_unknown(path: KeyPath, section: type[schema.Section], mapping: Mapping[str, Any], origin: Origin) -> None:
    known = section.__struct_fields__
    for key in mapping:
        if key in known:
            continue
        homes = [dotted(home) for home, other in _SECTIONS.items() if home and key in other.__struct_fields__]
        near = get_close_matches(key, known, n=1, cutoff=0.6)
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif path == () and homes:
            hint = f"it belongs under {' or '.join(repr(home) for home in homes)}"
        elif key in schema.JobSpec.__struct_fields__:
            hint = "it belongs at the top of the spec"
        else:
            hint = f"known here: {', '.join(known)}"
        raise origin.error((*path, key), f"is not a key of {'a job spec' if path == () else dotted(path)}: {hint}")


def _canonical(section: type[schema.Section], mapping: dict[str, Any]) -> None:
    """Words of an enumeration in the case of the schema."""
    for key, words in _enumerations(section).items():
        value = mapping.get(key)
        if isinstance(value, str):
            mapping[key] = words.get(value.casefold(), value)
        elif isinstance(value, list):
            mapping[key] = [words.get(item.casefold(), item) if isinstance(item, str) else item for item in value]


@cache
def _enumerations(section: type[schema.Section]) -> dict[str, dict[str, str]]:
    """Key -> lower-case spelling -> word, for the keys that take one of a few words."""
    spellings = {
        key: words
        for key, hint in get_type_hints(section).items()
        if (words := {word.casefold(): word for word in _words(hint)})
    }
    if "framework" in spellings:
        with (
            Path(__file__).with_name("data").joinpath("framework_names.csv").open(encoding="utf-8", newline="") as file
        ):
            spellings["framework"] |= {row["spelling"]: row["framework"] for row in csv.DictReader(file)}
    return spellings


def _words(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [word for part in get_args(hint) for word in _words(part)]


def _sentence(message: str, data: Mapping[str, Any], origin: Origin) -> InputError:
    """The refusal of the schema in plain words, with the value seen and what the key takes."""
    match = _PLACE.match(message)
    assert match is not None
    what = match["what"]
    path: KeyPath = tuple(key or int(at) for key, at in _STEP.findall(match["path"] or ""))
    value: Any = data
    for step in path:
        value = value[step]
    if missing := re.search(r"missing required field `(\w+)`", what):
        return _missing((*path, missing[1]), origin)
    seen = repr(value) if isinstance(value, str) else _KINDS["array" if isinstance(value, list) else "object"]
    if what.startswith("Invalid enum value"):
        allowed = _allowed(path)
        near = get_close_matches(str(value).casefold(), [word.casefold() for word in allowed], n=1)
        hint = f"; did you mean {next(word for word in allowed if word.casefold() == near[0])!r}?" if near else ""
        return origin.error(path, f"is {seen}: expected one of {', '.join(allowed)}{hint}")
    expected = re.sub(r" ?\| ?null|null ?\| ?", "", what.removeprefix("Expected ").split(", got")[0])
    words = re.sub(r"`([^`]*)`", lambda kinds: _kinds(kinds[1]), expected).replace(">=", "of at least")
    return origin.error(path, f"is {seen}: expected {words.replace('> 0.0', 'greater than zero')}. {_meaning(path)}")


def _kinds(types: str) -> str:
    return " or ".join(_KINDS.get(kind.strip(), kind.strip()) for kind in types.split("|"))


def _missing(path: KeyPath, origin: Origin) -> InputError:
    where = origin.where(path[:-1])
    return InputError(f"{origin.label(path)} is missing. {_meaning(path)}", where)


def _keys(path: KeyPath) -> tuple[KeyPath, str]:
    """The section of a path and its key there, positions in lists left out."""
    names = tuple(step for step in path if isinstance(step, str))
    return names[:-1], str(names[-1]) if names else ""


def _allowed(path: KeyPath) -> list[str]:
    section, key = _keys(path)
    return list(dict.fromkeys(_enumerations(_SECTIONS[section])[key].values()))


def _meaning(path: KeyPath) -> str:
    """The schema's own description of a key, for the end of a sentence."""
    section, key = _keys(path)
    definition = schema.json_schema()["$defs"][_SECTIONS[section].__name__]["properties"][key]
    description = str(definition["description"])
    return f"It means: {description[:1].lower()}{description[1:]}".rstrip(". ")
