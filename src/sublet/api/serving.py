"""Serve the API over TCP: one process, or several over one database.

Invariant: what a worker needs to open its house is in its environment, so that a worker is made anew like the first.
"""

from __future__ import annotations

import gc
import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from sublet.api.app import create_app
from sublet.api.embedded import open_house
from sublet.api.house import House
from sublet.api.logs import configure
from sublet.api.settings import Settings
from sublet.broker.proving.procedure import Ground
from sublet.storage import durable

_HOME, _DATABASE, _SETTINGS = "SUBLET_SERVE_HOME", "SUBLET_SERVE_DATABASE", "SUBLET_SERVE_SETTINGS"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio sets TCP_NODELAY
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.set_inheritable(True)
    except OSError:
        listening.close()
        raise
    return listening


def serve(
    listening: socket.socket, home: Path, house: House, *, database: str | None, workers: int, settings: Settings
) -> None:
    """Serve until interrupted: `house` in this process, or `workers` processes that each open their own."""
    configure()
    if workers == 1:
        _prepare(house)
        app = create_app(house)
        settle()
        uvicorn.Server(_config(app)).run(sockets=[listening])
        return
    house.database.close()
    os.environ[_HOME] = str(home)
    os.environ[_DATABASE] = database or ""
    os.environ[_SETTINGS] = json.dumps(asdict(settings))
    from uvicorn.supervisors import Multiprocess

    Multiprocess(_config("sublet.api.serving:make", workers), sockets=[listening]).run()


def _config(app: FastAPI | str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="on",
        ws="none",
    )


def make() -> FastAPI:
    """The application of one of several workers, from its environment."""
    configure()
    settings = Settings(**json.loads(os.environ[_SETTINGS]))
    house, _ = open_house(Path(os.environ[_HOME]), database=os.environ[_DATABASE] or None, settings=settings)
    _prepare(house)
    app = create_app(house)
    settle()
    return app


def settle() -> None:
    """Tell the garbage collector what stays, and to look less often: an answer makes thousands of values, no cycles."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _prepare(house: House) -> None:
    """A server works durably; the engine of workflows is not started before there is one."""
    durable.prepare(house.database, Ground(house.database, house.providers, house.signer, house.clock))
