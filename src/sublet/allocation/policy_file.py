"""Policy files: the built-in ones by name, others by path; the edge of the room where YAML is read.

Invariant: a file that is accepted gives one `Policy`; every refusal is one sentence with the line.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from sublet.allocation import policy_schema as spec
from sublet.allocation.policy import (
    Admission,
    Backfill,
    Caps,
    Durations,
    FairShare,
    Order,
    Patience,
    Policy,
    Promises,
    Release,
    Tier,
)
from sublet.errors import InputError
from sublet.units import HOUR_S, parse_duration

DATA = Path(__file__).with_name("data")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_KINDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "object": "a mapping"}


def builtin_policies() -> tuple[str, ...]:
    """Names of the policies that ship with the package."""
    return tuple(sorted(path.stem for path in DATA.glob("*.yaml")))


def load_policy(name_or_path: str) -> Policy:
    """The built-in policy of that name, else the policy in that file; InputError where there is neither."""
    builtin = DATA / f"{name_or_path}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", name_or_path) and builtin.is_file():
        return read_policy(builtin)
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(builtin_policies())
        raise InputError(f"there is no policy {name_or_path!r}: give a file, or one of {known}")
    return read_policy(path)


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file; InputError with file and line for what is not YAML, not known or out of range."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("this is not a text file in UTF-8", str(path)) from None
    return parse_policy(text, str(path))


def parse_policy(text: str, where: str) -> Policy:
    """The policy in a YAML text; `where` names it in errors."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"this is not YAML: {error.problem}", f"{where}:{mark.line + 1 if mark else 1}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"this is not YAML: {str(error).splitlines()[0]}", where) from None
    if root is None or not isinstance(data, dict):
        raise InputError("a policy is a mapping of keys to values, such as 'name: mine'", where)
    try:
        read = msgspec.convert(data, spec.PolicySpec)
    except msgspec.ValidationError as error:
        raise _sentence(str(error), data, root, where) from None
    try:
        return _policy(read)
    except InputError as error:
        path = [part for part in re.split(r"[.\s]", error.sentence)[:3] if part]
        raise error.at(f"{where}:{_line(root, path)}") from None


def _policy(read: spec.PolicySpec) -> Policy:
    patience = read.order.patience
    return Policy(
        name=read.name,
        version=read.version,
        summary=read.summary,
        durations=Durations(read.durations.order, read.durations.history),
        order=Order(
            read.order.by,
            Patience(
                limit_s=_seconds(patience.limit, "order.patience.limit"),
                scale_s=_seconds(patience.scale, "order.patience.scale"),
                duration_power=patience.duration_power,
                size_power=patience.size_power,
                head_start_s=_seconds(patience.head_start, "order.patience.head_start"),
                floor_s=_seconds(patience.floor, "order.patience.floor"),
                age_s=_seconds(patience.age, "order.patience.age"),
                age_power=patience.age_power,
            )
            if patience
            else None,
            _seconds(read.order.oldest_first_after, "order.oldest_first_after"),
        ),
        tiers=tuple(Tier(tier.name, tier.share, tier.patience, tier.rank, tier.preemptible) for tier in read.tiers),
        fair_share=FairShare(_seconds(read.fair_share.half_life, "fair_share.half_life"), read.fair_share.tolerance)
        if read.fair_share
        else None,
        caps=Caps(
            read.caps.concurrent,
            read.caps.over_share,
            math.inf if read.caps.over_multiple is None else read.caps.over_multiple,
        ),
        backfill=Backfill(read.backfill.method, read.backfill.reservations, read.backfill.candidates),
        promises=Promises(_seconds(read.promises.lead, "promises.lead")),
        admission=Admission(
            math.inf if read.admission.open_entries is None else float(read.admission.open_entries),
            math.inf if read.admission.booked_unit_hours is None else read.admission.booked_unit_hours * HOUR_S,
            read.admission.no_show_factor,
        ),
        release=Release(
            _seconds(read.release.no_show_after, "release.no_show_after"),
            _seconds(read.release.idle_after, "release.idle_after"),
        ),
    )


def _seconds(text: str | None, what: str) -> float:
    return math.inf if text is None else parse_duration(text, what)


def _sentence(message: str, data: Any, root: yaml.Node, where: str) -> InputError:
    """What msgspec refused, as one sentence that names the key, the value seen and what would be right."""
    what, _, place = message.partition(" - at `$")
    path = [name or int(number) for name, number in _STEP.findall(place.rstrip("`"))]
    if unknown := re.search(r"unknown field `(.+)`", what):
        path = [*path, unknown[1]]
        return InputError(f"{_dotted(path)} is not a key of a policy", f"{where}:{_line(root, path)}")
    if missing := re.search(r"missing required field `(.+)`", what):
        return InputError(f"{_dotted([*path, missing[1]])} is missing", f"{where}:{_line(root, path)}")
    value = data
    for step in path:
        value = value[step]
    wanted = re.sub(r"`(\w+)( \| null)?`", lambda kind: _KINDS.get(kind[1], kind[1]), what)
    wanted = wanted.replace("Expected ", "expected ").replace("Invalid enum value", "it is none of the known words for")
    return InputError(f"{_dotted(path)} is {value!r}: {wanted}", f"{where}:{_line(root, path)}")


def _dotted(path: list[Any]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "the policy"


def _line(root: yaml.Node, path: list[Any]) -> int:
    """The line of the value at `path`, or of the nearest thing around it."""
    node, line = root, 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
