"""Make the calls that are due: outside every transaction, in parallel, and never into the operator's own network.

An address is resolved here, checked, and called by the number that was checked, so that a name cannot point elsewhere
between the two. Redirects are not followed. Invariant: unless `private` is allowed, no call reaches an address that is
not public (loopback, link-local, private, metadata services).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from sublet.broker.hooks import service, signing
from sublet.broker.hooks.mail import SCHEME, Mail, post
from sublet.broker.hooks.values import Call, Outcome
from sublet.storage.clock import Clock
from sublet.storage.engine import Database

TIMEOUT_S = 10.0
PARALLEL = 8

Send = Callable[[Call, datetime], Outcome]


class NotPublic(Exception):
    """The address is not one that a tenant may have called."""


def deliver(database: Database, clock: Clock, send: Send, *, limit: int = 50) -> int:
    """Line up what is new, make the attempts that are due, write down what came of them; returns how many were made."""
    with database.reading() as session:
        news = service.behind(session)
        due = service.is_due(session, now=clock.now())
    if not news and not due:
        return 0
    calls = database.run(lambda session: _line_up(session, clock.now(), limit))
    if not calls:
        return 0
    outcomes = _attempt(calls, clock, send)
    database.run(lambda session: service.settle(session, outcomes, now=clock.now()))
    return len(outcomes)


def _line_up(session: Session, now: datetime, limit: int) -> tuple[Call, ...]:
    service.fan_out(session, now=now)
    return service.take(session, now=now, limit=limit)


def _attempt(calls: Sequence[Call], clock: Clock, send: Send) -> list[Outcome]:
    """Make the calls: those of one address one after the other, as they happened; addresses beside each other.

    Where nobody answers, the rest for that address is handed back untried: it waits with the one that was not heard.
    """
    by_address: dict[str, list[Call]] = {}
    for call in calls:
        by_address.setdefault(call.url, []).append(call)

    def tell(some: Sequence[Call]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for call in some:
            if outcomes and outcomes[-1].status is None:
                outcomes.append(Outcome(call.delivery, None, outcomes[-1].error, tried=False))
            else:
                outcomes.append(send(call, clock.now()))
        return outcomes

    if len(by_address) == 1:
        return tell(calls)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="sublet-webhook") as pool:
        return [outcome for outcomes in pool.map(tell, by_address.values()) for outcome in outcomes]


def sender(*, private: bool = False, mail: Mail | None = None, timeout_s: float = TIMEOUT_S) -> Send:
    """A `Send` over HTTP, and over SMTP for `mailto:`; `private` lets it reach addresses that are not public.

    `timeout_s` is for the whole of a call: who answers a byte at a time holds nothing up.
    """

    def send(call: Call, at: datetime) -> Outcome:
        if call.url.startswith(SCHEME):
            return post(mail, call, at)
        try:
            status = asyncio.run(asyncio.wait_for(_post(call, at, *_pinned(call.url, private)), timeout_s))
        except NotPublic as error:
            return Outcome(call.delivery, None, str(error))
        except TimeoutError:
            return Outcome(call.delivery, None, f"no answer within {timeout_s:g} s")
        except (OSError, ValueError) as error:
            return Outcome(call.delivery, None, f"{type(error).__name__}: {error}")
        return Outcome(call.delivery, status, "" if 200 <= status < 300 else f"answered {status}")

    return send


async def _post(call: Call, at: datetime, url: str, extensions: dict[str, object], host: str) -> int:
    """The status of the answer; its body is nobody's business."""
    import httpx  # a tenth of a second, for brokers that call somebody

    headers = {
        "content-type": "application/json",
        "user-agent": "Sublet-Webhooks/1",
        "host": host,
        **signing.sign(call.secret, call.delivery, at, call.body),
    }
    secure = url.startswith("https:")
    try:
        async with httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=_trusted() if secure else False
        ) as http:
            request = http.build_request("POST", url, content=call.body, headers=headers, extensions=extensions)
            response = await http.send(request, stream=True)
            await response.aclose()
            return response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


@cache
def _trusted() -> ssl.SSLContext:
    """Whom TLS believes; made once, for it takes long."""
    return ssl.create_default_context()


def _pinned(url: str, private: bool) -> tuple[str, dict[str, object], str]:
    """The URL with the number of its host in place of its name, what TLS has to know, and the Host header."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    numbers = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for number in numbers:
        if not private and not public(number):
            raise NotPublic(f"{host} is at {number}, which is not public: this server calls public addresses only")
    number = f"[{numbers[0]}]" if ":" in numbers[0] else numbers[0]
    pinned = parts._replace(netloc=f"{number}:{port}", fragment="").geturl()
    return pinned, {"sni_hostname": host}, parts.netloc


def public(number: str) -> bool:
    """Whether an IP address is anybody's, and not a way round to one that is not (mapped and tunnelled addresses)."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return inner.is_global
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF).is_global
    return address.is_global and not address.is_multicast
