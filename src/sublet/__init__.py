"""Sublet: a broker for scarce accelerators.

The rooms and the one flow between them are described in docs/concepts.md; nothing is imported here so that a
command pays only for the rooms it uses. `sublet.Client` and `sublet.AsyncClient`, the SDK, are imported when asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sublet.client import ApiError as ApiError
    from sublet.client import AsyncClient as AsyncClient
    from sublet.client import Client as Client
    from sublet.client import NotReached as NotReached

__version__ = "0.1.0"

_OF_CLIENT = ("ApiError", "AsyncClient", "Client", "NotReached")


def __getattr__(name: str) -> Any:
    if name in _OF_CLIENT:
        from sublet import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
