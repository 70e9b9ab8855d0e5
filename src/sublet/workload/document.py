"""A YAML file as plain data in which every value still knows its line: the edge where job specs are read.

Scalars stay the text that stands in the file (so that `country: NO` is Norway and `1:30` no number of seconds); what a
value means is decided by the field that takes it. Invariant: every path of `data` has a line in `lines`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sublet.errors import InputError

KeyPath = tuple[str | int, ...]  # the keys and positions from the root to a value
_MOST_VALUES = 10_000  # a spec has dozens; references that multiply are refused
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


@dataclass(frozen=True)
class Document:
    """What a file says, and where it says it."""

    name: str
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def where(self, path: KeyPath) -> str:
        """ "file.yaml:7" of the value at `path`, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read_yaml(path: Path) -> Document:
    """The document in the file at `path`; InputError with file and line where it is not a YAML mapping."""
    name = str(path)
    try:
        root = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"this is not YAML: {error.problem or error.context}", f"{name}:{line}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"this is not YAML: {str(error).splitlines()[0]}", name) from None
    if root is None:
        raise InputError("the file is empty: `sublet workload init` writes a spec to start from", name)
    if not isinstance(root, yaml.MappingNode):
        raise InputError("a job spec is a mapping of keys to values, such as 'model: mpt-30b'", _where(name, root))
    lines: dict[KeyPath, int] = {}
    try:
        return Document(name, _plain(root, (), name, lines), lines)
    except RecursionError:
        raise InputError("the file refers to itself or is nested too deeply", name) from None


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in the JSON file at `path`; InputError where it holds none."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"this is not JSON: {error.msg}", f"{path}:{error.lineno}") from None
    except RecursionError:
        raise InputError("this is not JSON that can be read: it is nested too deeply", str(path)) from None
    if not isinstance(content, dict):
        raise InputError("expected a JSON object with the dimensions of a model", str(path))
    return content


def read_text(path: Path) -> str:
    """The text of a file; one sentence where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file {str(path)!r}: give the path of an existing file") from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a directory: give the path of a file") from None
    except UnicodeDecodeError:
        raise InputError(f"{str(path)!r} is not a text file in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r} cannot be read: {reason}") from None


def _plain(node: yaml.Node, path: KeyPath, name: str, lines: dict[KeyPath, int]) -> Any:
    """The node as text, lists and mappings, with its line noted; an empty value is left out of its mapping."""
    if len(lines) > _MOST_VALUES:
        raise InputError(f"the file holds more than {_MOST_VALUES:,} values: this is no job spec", name)
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in _NULLS else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, at), name, lines) for at, child in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InputError("a key must be a word, such as 'model'", _where(name, key))
        here = (*path, key.value)
        if here in lines:
            twice = f"{key.value!r} stands here a second time (first in line {lines[here]})"
            raise InputError(twice, _where(name, key))
        value = _plain(child, here, name, lines)
        lines[here] = key.start_mark.line + 1
        if value is not None:
            mapping[key.value] = value
    return mapping


def _where(name: str, node: yaml.Node) -> str:
    return f"{name}:{node.start_mark.line + 1}"
