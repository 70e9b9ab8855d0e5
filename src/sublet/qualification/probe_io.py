"""How fast the node's disk and its own network stack are, with the data checked on the way back."""

from __future__ import annotations

import os
import random
import socket
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any

_BLOCK = 4 << 20
_DISK_BYTES = 128 << 20
_NETWORK_BYTES = 256 << 20
_PINGS = 200


def disk(budget_s: float) -> Mapping[str, Any]:
    """Bytes/s written to the working directory up to the device (fsync), and read back without the page cache.

    `cached` says that the system did not let go of its cache, so the read rate is no rate of the disk.
    """
    block = random.Random(0).randbytes(_BLOCK)  # noqa: S311 - a pattern, no secret
    with tempfile.NamedTemporaryFile(dir=".", prefix=".sublet-probe-") as file:
        descriptor = file.fileno()
        began = time.perf_counter()
        written = 0
        while written < _DISK_BYTES and (not written or time.perf_counter() - began < budget_s / 2):
            written += os.write(descriptor, block)
        os.fsync(descriptor)
        write_s = time.perf_counter() - began
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(descriptor, 0, os.SEEK_SET)
        expected, intact, read, read_s = zlib.crc32(block), True, 0, 0.0
        while read < written and read_s < budget_s / 2:
            at = time.perf_counter()
            found = os.read(descriptor, _BLOCK)
            read_s += time.perf_counter() - at
            if not found:
                break
            intact = intact and (len(found) < _BLOCK or zlib.crc32(found) == expected)
            read += len(found)
    return {
        "write_bytes_per_s": written / write_s,
        "read_bytes_per_s": read / read_s if read_s else None,
        "bytes": written,
        "intact": intact and read > 0,
    }


def loopback(budget_s: float) -> Mapping[str, Any]:
    """Bytes/s through one TCP connection to ourselves, and the median time of a message there and back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=_serve, args=(server,), daemon=True)
        thread.start()
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            trips = []
            for _ in range(_PINGS):
                at = time.perf_counter()
                client.sendall(b"p")
                client.recv(1)
                trips.append(time.perf_counter() - at)
            block, sent = bytes(1 << 20), 0
            client.sendall(b"s")
            client.recv(1)
            began = time.perf_counter()
            while sent < _NETWORK_BYTES and time.perf_counter() - began < budget_s:
                client.sendall(block)
                sent += len(block)
            client.shutdown(socket.SHUT_WR)
            received = int.from_bytes(client.recv(8), "big")
            seconds = time.perf_counter() - began
        thread.join(5)
    return {
        "bytes_per_s": sent / seconds,
        "round_trip_s": sorted(trips)[len(trips) // 2],
        "bytes": sent,
        "intact": received == sent,
    }


def _serve(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (message := connection.recv(1)) and message == b"p":
            connection.sendall(b"p")
        connection.sendall(b"s")
        buffer, received = bytearray(1 << 20), 0
        while count := connection.recv_into(buffer):
            received += count
        connection.sendall(received.to_bytes(8, "big"))
