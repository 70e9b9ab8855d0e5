"""The Python SDK: `sublet.Client` and `sublet.AsyncClient`, which know HTTP and nothing of the broker's inside.

import sublet
with sublet.Client("https://broker.example.org", token) as broker:
    for lease in broker.leases(state="active"):
        print(lease.id, lease.ends_at)
"""

from sublet.client.async_client import AsyncClient
from sublet.client.client import Client
from sublet.client.errors import ApiError, ClientError, NotReached

__all__ = ["ApiError", "AsyncClient", "Client", "ClientError", "NotReached"]
