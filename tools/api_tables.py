"""Write the tables of docs/api.md: every route of the OpenAPI description, and every type of problem.

.venv/bin/python tools/api_tables.py
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from fastapi import APIRouter, FastAPI

from marked import replace
from sublet.api import routes
from sublet.api.problems import SENTENCES, declared
from sublet.broker.errors import BrokerError
from sublet.broker.hooks.values import KINDS
from sublet.broker.tenants.rights import RIGHTS

METHODS = ("get", "post", "put", "patch", "delete")


def _document() -> dict[str, Any]:
    """The description of the API, made without a broker."""
    app = FastAPI()
    v1 = APIRouter(prefix="/v1")
    for found in pkgutil.iter_modules(routes.__path__):
        router = getattr(importlib.import_module(f"{routes.__name__}.{found.name}"), "router", None)
        if router is not None:
            (app if found.name == "health" else v1).include_router(router)
    app.include_router(v1)
    return app.openapi()


def routes_table() -> str:
    """Every route by its tag: what it does, the roles that reach it, and what beside the common errors may come."""
    tags: dict[str, list[str]] = {}
    common = {str(status) for status in declared()}
    for path, methods in sorted(_document()["paths"].items()):
        for method in METHODS:
            if method not in methods:
                continue
            operation = methods[method]
            roles = ", ".join(RIGHTS.get(operation.get("x-sublet-action", ""), ("anybody",)))
            more = [status for status in operation["responses"] if status[0] != "2" and status not in common]
            sentence = operation.get("description", "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            row = f"| `{method.upper()} {path}` | {sentence} | {roles} | {', '.join(more)} |"
            tags.setdefault(operation.get("tags", ["other"])[0], []).append(row)
    return "\n\n".join(
        f"### {tag.capitalize()}\n\n| route | | roles | also |\n|---|---|---|---|\n" + "\n".join(rows)
        for tag, rows in sorted(tags.items())
    )


def statuses() -> str:
    """Every status that is a problem, with its sentence."""
    return "\n".join(
        ["| status | when |", "|---|---|", *(f"| {status} | {text} |" for status, text in sorted(SENTENCES.items()))]
    )


def types() -> str:
    """Every type of problem that the code can name, with its status and what it is."""
    own = [kind for kind in _kinds(BrokerError) if kind.__module__.startswith("sublet.")]
    found = {(kind.type, kind.status): _first(kind) for kind in own}
    found |= {
        ("malformed-json", 400): "The body is no JSON.",
        ("not-found", 404): "No such thing, or one that belongs to somebody else.",
        ("method-not-allowed", 405): "The path knows no such method.",
        ("invalid", 422): "A value makes no sense; `errors` names each with its place.",
        ("internal", 500): "A defect of ours; the log has the rest under `request_id`.",
        ("unavailable", 503): "The database is busy or away; come back after `Retry-After`.",
    }
    rows = [
        f"| `{kind}` | {status} | {text} |" for (kind, status), text in sorted(found.items(), key=lambda each: each[0])
    ]
    return "\n".join(["| type | status | what it is |", "|---|---|---|", *rows])


def _kinds(of: type[Any]) -> list[type[Any]]:
    return [each for kind in of.__subclasses__() for each in (kind, *_kinds(kind))]


def _first(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def events() -> str:
    """What can be subscribed to."""
    return "\n".join(["| kind | told when |", "|---|---|", *(f"| `{kind}` | {when} |" for kind, when in KINDS.items())])


PARTS = {"routes": routes_table, "statuses": statuses, "types": types, "kinds": events}


if __name__ == "__main__":
    for name, make in PARTS.items():
        replace("api.md", name, make())
