"""Write the tables of keys in docs/how-to-job-spec.md from the JSON Schema of the job spec.

.venv/bin/python tools/job_spec_tables.py
"""

from __future__ import annotations

from typing import Any

from marked import replace
from sublet.workload.schema import json_schema

SECTIONS = {
    "JobSpec": "The job",
    "ConstraintsSpec": "`constraints`",
    "LayoutSpec": "`layout`",
    "LoraSpec": "`lora`",
    "ModelSpec": "`model` (where it is not a name)",
    "ExpertsSpec": "`model.experts`",
    "LatentSpec": "`model.latent`",
}


def keys() -> str:
    """One table for each section of the spec: key, what it may be, meaning."""
    definitions = json_schema()["$defs"]
    missing = definitions.keys() - SECTIONS.keys()
    assert not missing, f"sections of the schema without a heading: {missing}"
    parts = []
    for name, heading in SECTIONS.items():
        section = definitions[name]
        needed = set(section.get("required", ()))
        parts += [f"### {heading}", "", section["description"], "", "| key | value | meaning |", "|---|---|---|"]
        for key, of in section["properties"].items():
            mark = " (required)" if key in needed else ""
            parts.append(f"| `{key}`{mark} | {_value(of)} | {of.get('description', '')} |")
        parts.append("")
    return "\n".join(parts)


def _value(of: dict[str, Any]) -> str:
    """What a key may hold, in words."""
    if "enum" in of:
        return ", ".join(f"`{word}`" for word in of["enum"])
    if "anyOf" in of:
        return " or ".join(dict.fromkeys(_value(choice) for choice in of["anyOf"]))
    if "$ref" in of:
        return "a section"
    if of.get("type") == "array":
        return f"list of {_value(of['items'])}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words[of["type"]]


PARTS = {"keys": keys}

if __name__ == "__main__":
    for name, part in PARTS.items():
        replace("how-to-job-spec.md", name, part())
