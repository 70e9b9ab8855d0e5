"""The models that Sublet knows by name, read from `data/models.csv`: dimensions, published counts and their sources.

Names resolve whatever their case, separators, publisher ("meta-llama/...") or suffix that does not change the shape
("-instruct", "-hf"). Invariant: one spelling names one model; two rows that claim the same spelling are a data error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from types import MappingProxyType

from sublet.errors import InputError
from sublet.workload.model import Experts, LatentAttention, Model

# a number with its decimals and "x" part and unit letter ("3.1", "8x7b", "125m"), or a run of letters
_TOKEN = re.compile(r"\d+(?:\.\d+)?(?:x\d+(?:\.\d+)?)?(?:[bmt](?![a-z]))?|[a-z]+")
# what publishers add to a name without changing the shape of the model
_DECORATION = frozenset(
    {"hf", "instruct", "chat", "base", "it", "pt", "meta", "facebook", "mosaicml", "arch", "preview"}
)
_CONFIG_OF = "Hugging Face config.json of "  # such a source names the repository, which is one more spelling


@dataclass(frozen=True)
class Published:
    """What the publisher says a model has, in parameters, and where it says so."""

    total: str  # as printed: "46702792704", "12.9B"; `units.parse_count` reads it
    active: str  # "" where every parameter is active
    active_counts: str  # "all", or "no-input-embedding" where the publisher leaves the token table out
    source: str
    date: str


def model(name: str) -> Model:
    """The built-in model that `name` means; InputError names the nearest ones where there is none."""
    key = normalise(name)
    index = _index()
    if key not in index:
        near = _nearest(key)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise InputError(f"no built-in model is called {name!r}: {hint}`sublet workload models` lists all of them")
    return models()[index[key]]


@cache
def models() -> Mapping[str, Model]:
    """Every built-in model by its name, in the order of the table."""
    return MappingProxyType({row["name"]: _model(row) for row in _rows()})


@cache
def published() -> Mapping[str, Published]:
    """The published parameter counts of every built-in model, by its name."""
    return MappingProxyType(
        {
            row["name"]: Published(
                total=row["params"],
                active=row["active_params"],
                active_counts=row["active_counts"],
                source=row["params_source"],
                date=row["date"],
            )
            for row in _rows()
        }
    )


def normalise(name: str) -> str:
    """The spelling by which names are compared: "meta-llama/Llama-3.1-70B-Instruct" -> "llama-3.1-70b"."""
    tokens = [token for token in _TOKEN.findall(name.lower().rsplit("/", 1)[-1]) if token not in _DECORATION]
    return "-".join(tokens)


def _nearest(key: str) -> list[str]:
    """Up to three names like `key`: those that share most of its parts, then those that are spelled most like it."""
    parts = set(key.split("-"))
    matcher = SequenceMatcher(b=key)

    def likeness(spelling: str) -> tuple[int, float]:
        matcher.set_seq1(spelling)
        return len(parts & set(spelling.split("-"))), matcher.ratio()

    ranked = sorted(_index(), key=likeness, reverse=True)
    names = dict.fromkeys(_index()[spelling] for spelling in ranked[:8] if likeness(spelling)[1] > 0.5)
    return list(names)[:3]


@cache
def _index() -> Mapping[str, str]:
    """Normalised spelling -> name."""
    index: dict[str, str] = {}
    for row in _rows():
        published = [row["source"].removeprefix(_CONFIG_OF)] if row["source"].startswith(_CONFIG_OF) else []
        for spelling in (row["name"], *filter(None, row["aliases"].split("|")), *published):
            taken = index.setdefault(normalise(spelling), row["name"])
            if taken != row["name"]:
                raise InputError(f"models.csv gives {spelling!r} to both {taken} and {row['name']}")
    return index


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with Path(__file__).with_name("data").joinpath("models.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _model(row: Mapping[str, str]) -> Model:
    def number(column: str) -> int:
        return int(row[column] or 0)

    experts = latent = None
    if number("experts"):
        experts = Experts(
            count=number("experts"),
            active=number("active_experts"),
            ffn_hidden=number("expert_ffn_hidden"),
            layers=number("expert_layers"),
            shared=number("shared_experts"),
            shared_ffn_hidden=number("shared_ffn_hidden"),
        )
    if number("kv_rank"):
        latent = LatentAttention(
            kv_rank=number("kv_rank"),
            q_rank=number("q_rank"),
            nope_dim=number("nope_dim"),
            rope_dim=number("rope_dim"),
            v_dim=number("v_dim"),
        )
    return Model(
        name=row["name"],
        layers=number("layers"),
        hidden=number("hidden"),
        heads=number("heads"),
        kv_heads=number("kv_heads"),
        head_dim=number("head_dim"),
        ffn_hidden=number("ffn_hidden"),
        vocab=number("vocab"),
        gated=bool(number("gated")),
        tied_embeddings=bool(number("tied_embeddings")),
        max_positions=number("max_positions"),
        bias=bool(number("bias")),
        qkv_bias=bool(number("qkv_bias")),
        norm=row["norm"],
        norms_per_layer=number("norms_per_layer"),
        experts=experts,
        latent=latent,
        window=number("window"),
        windowed_layers=number("windowed_layers"),
        source=row["source"],
        context=number("context"),
        qk_norm=row["qk_norm"],
        relative_positions=bool(number("relative_positions")),
    )
