"""Small facts about offers kept as data: provider names, market words, currencies, standing flags, GCP's hosts.

Invariant: a word that the data does not know stays what it is (a slug of itself), it is never mapped by guess.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files


def read_data(name: str) -> Iterator[dict[str, str]]:
    """The rows of one of the catalogue's own CSV files."""
    text = files("sublet.catalog").joinpath("data", name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


def slug(word: str) -> str:
    """Lower case, words joined by hyphens."""
    return re.sub(r"[\s_]+", "-", word.strip().casefold()).strip("-")


@lru_cache(maxsize=1)
def _providers() -> dict[str, str]:
    """Any spelling's slug -> canonical id."""
    spellings: dict[str, str] = {}
    for row in read_data("providers.csv"):
        for word in (row["provider"], row["name"], *filter(None, row["also"].split("|"))):
            spellings[slug(word)] = row["provider"]
    return spellings


@lru_cache(maxsize=4096)
def provider_id(word: str) -> str:
    """The canonical id of a provider's name ("Oracle Cloud" -> "oci"); an unknown one becomes its own slug."""
    key = slug(word)
    return _providers().get(key, key)


def is_provider(word: str) -> bool:
    """Whether the data knows that spelling of a provider."""
    return slug(word) in _providers()


@lru_cache(maxsize=1)
def _words() -> dict[tuple[str, str], str]:
    return {(row["kind"], row["word"]): row["meaning"] for row in read_data("offer_words.csv")}


def market(word: str) -> str:
    """What a source's word for a tier means: "secure" -> "on-demand"; an unknown word stays itself."""
    key = slug(word)
    return _words().get(("market", key), key)


@dataclass(frozen=True)
class Rule:
    """What holds for every offer of a (feed, provider, region), each a shell pattern."""

    feed: str
    provider: str
    region: str
    rule: str  # "currency" | "flag"
    value: str


@lru_cache(maxsize=1)
def _rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(row["feed"], row["provider"], row["region"], row["rule"], row["value"])
        for row in read_data("offer_rules.csv")
    )


@lru_cache(maxsize=65536)
def standing(feed: str, provider: str, region: str) -> tuple[str | None, tuple[str, ...]]:
    """The currency (None: as the source says, else US dollars) and the flags that hold there without looking."""
    currency: str | None = None
    flags: list[str] = []
    for rule in _rules():
        if not (fnmatchcase(provider, rule.provider) and fnmatchcase(feed, rule.feed)):
            continue
        if not fnmatchcase(region, rule.region):
            continue
        if rule.rule == "currency":
            currency = rule.value
        else:
            flags.append(rule.value)
    return currency, tuple(flags)


@lru_cache(maxsize=1)
def gcp_hosts() -> dict[tuple[str, int], tuple[str, ...]]:
    """(accelerator as GCP rows spell it, count) -> the machine types that carry exactly those."""
    hosts: dict[tuple[str, int], tuple[str, ...]] = {}
    for row in read_data("gcp_hosts.csv"):
        key = (row["accelerator"], int(row["count"]))
        hosts[key] = (*hosts.get(key, ()), row["host"])
    return hosts


@lru_cache(maxsize=1)
def _counts() -> tuple[tuple[str, re.Pattern[str], int], ...]:
    return tuple(
        (row["provider"], re.compile(row["pattern"]), int(row["count"] or 0))
        for row in read_data("instance_counts.csv")
    )


@lru_cache(maxsize=8192)
def accelerators_in(provider: str, shape: str) -> int | None:
    """Accelerators in one instance of a type, None where the data does not know it."""
    for owner, pattern, count in _counts():
        if owner == provider and (found := pattern.fullmatch(shape)):
            return count or int(found[1])
    return None


@lru_cache(maxsize=1)
def thresholds() -> dict[str, float]:
    """The limits that quality flags are set by (quality.csv says what each means)."""
    return {row["name"]: float(row["value"]) for row in read_data("quality.csv")}
