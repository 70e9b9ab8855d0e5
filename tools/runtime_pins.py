"""Print the part of constraints.txt that running Sublet needs, so that `make demo` installs no test or docs tools.

The graph is read from the "# via" comments which the resolver writes under each pin: a package belongs to the part when
pyproject.toml names it (as a dependency or for the build), or when a package of the part brought it. Standard library
only: it runs before anything is installed.

Invariant: what is printed is a subset of the pins, hashes untouched.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EDITABLE_BUILD = ("editables",)  # hatchling asks for it when it installs a checkout in place


def canonical(name: str) -> str:
    """A distribution name as the resolver spells it (PEP 503), without extras and version."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name.strip(), maxsplit=1)[0]).lower()


def blocks(text: str) -> dict[str, str]:
    """Package -> its pin with hashes and "# via" comment, in file order."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if line[:1].isalnum():
            name = canonical(line)
            found[name] = ""
        if name:
            found[name] += line
    return found


def runtime(pins: dict[str, str], wanted: set[str]) -> list[str]:
    """Names of the pins that `wanted` needs, in file order; ValueError names a wanted package that is not pinned."""
    missing = wanted - pins.keys()
    if missing:
        raise ValueError(f"constraints.txt does not pin {', '.join(sorted(missing))}: run `make constraints`")
    brought_by = {
        name: {canonical(parent) for parent in re.findall(r"^ +# +(?:via )?(\S+)", block, flags=re.MULTILINE)}
        for name, block in pins.items()
    }
    part = set(wanted)
    while more := {name for name, parents in brought_by.items() if name not in part and parents & part}:
        part |= more
    return [name for name in pins if name in part]


def main() -> None:
    """Read pyproject.toml and constraints.txt beside this folder; write the part to standard output."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    named = [*project["project"]["dependencies"], *project["build-system"]["requires"], *EDITABLE_BUILD]
    pins = blocks((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    sys.stdout.writelines(pins[name] for name in runtime(pins, {canonical(name) for name in named}))


if __name__ == "__main__":
    main()
