"""The OpenAPI description as one page for people: no script, no font, no picture, no request to anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{margin-bottom:.2rem}h2{margin-top:2.5rem;border-bottom:1px solid #ddd}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f5f5f5;padding:.7rem;overflow:auto}details{border:1px solid #ddd;border-radius:6px;margin:.5rem 0}
summary{padding:.45rem .7rem;cursor:pointer}details>div{padding:0 .9rem .6rem}b.m{display:inline-block;width:4.5rem}
td{padding:.1rem .8rem .1rem 0;vertical-align:top}.s{color:#666}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}pre{background:#222}details{border-color:#444}}
"""
METHODS = ("get", "post", "put", "patch", "delete")


def html(document: Mapping[str, Any]) -> str:
    """One page: every operation by its tag, with parameters, an example of its body, and what may be answered."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style>",
        f"<h1>{escape(info['title'])} <span class=s>{escape(info['version'])}</span></h1>",
        *(f"<p>{escape(text)}</p>" for text in info["description"].strip().split("\n\n")),
        "<p>For programs: <a href=/openapi.json>openapi.json</a></p>",
    ]
    tags: dict[str, list[str]] = {}
    for path, method, operation in _operations(document):
        tags.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(document, path, method, operation))
    for tag, operations in tags.items():
        parts += [f"<h2>{escape(tag)}</h2>", *operations]
    return "\n".join(parts)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    text = escape(operation.get("description", ""))
    needs = operation.get("x-sublet-action")
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td class=s>{each['in']}<td>{escape(each.get('description', ''))}"
        for each in operation.get("parameters", [])
    )
    example = _example(document, operation)
    answers = ", ".join(f"{status} {escape(each['description'])}" for status, each in operation["responses"].items())
    return (
        f"<details><summary><b class=m>{method.upper()}</b><code>{escape(path)}</code> <span class=s>{text}</span>"
        f"</summary><div>{f'<p>needs <code>{escape(needs)}</code></p>' if needs else ''}"
        f"{f'<table>{rows}</table>' if rows else ''}"
        f"{f'<pre>{escape(example)}</pre>' if example else ''}<p class=s>{answers}</p></div></details>"
    )


def _example(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
    examples = document.get("components", {}).get("schemas", {}).get(name, {}).get("examples", [])
    return json.dumps(examples[0], indent=2) if examples else ""
