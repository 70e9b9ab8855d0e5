"""Serve the API over TCP: one process, or several over one database.

Invariant: what a worker needs to open its house is in its environment, so that a worker is made anew like the first.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from sublet.api.app import create_app
from sublet.api.embedded import open_house
from sublet.api.logs import configure
from sublet.api.settings import Settings

_HOME, _DATABASE, _PRIVATE = "SUBLET_SERVE_HOME", "SUBLET_SERVE_DATABASE", "SUBLET_SERVE_PRIVATE_HOOKS"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.set_inheritable(True)
    except OSError:
        listening.close()
        raise
    return listening


def serve(listening: socket.socket, home: Path, *, database: str | None, workers: int, private_hooks: bool) -> None:
    """Serve until interrupted."""
    os.environ[_HOME] = str(home)
    os.environ[_DATABASE] = database or ""
    os.environ[_PRIVATE] = "1" if private_hooks else ""
    config = uvicorn.Config(
        "sublet.api.serving:make",
        factory=True,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=10,
        lifespan="on",
        ws="none",
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
    else:
        from uvicorn.supervisors import Multiprocess

        Multiprocess(config, sockets=[listening]).run()


def make() -> FastAPI:
    """The application of one worker, from its environment."""
    configure()
    settings = Settings(private_hooks=bool(os.environ[_PRIVATE]))
    house, _ = open_house(Path(os.environ[_HOME]), database=os.environ[_DATABASE] or None, settings=settings)
    return create_app(house)
