"""Sign what is sent and check what is received, by the scheme of Standard Webhooks.

The signature is HMAC-SHA256 over `<id>.<seconds>.<body>` with the secret's bytes. Invariant: a receiver that checks it
knows that the body is ours, unchanged, and no older than it allows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

PREFIX = "whsec_"
TOLERANCE_S = 300.0


def new_secret() -> str:
    """A fresh secret of 192 random bits, written as receivers' libraries expect it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, identifier: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that go with a body."""
    seconds = str(int(at.timestamp()))
    return {
        "webhook-id": identifier,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{_digest(secret, identifier, seconds, body)}",
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Whether a received body is ours and recent; for receivers, and for our tests of what we send."""
    seconds, identifier = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not seconds.isdigit() or abs(now.timestamp() - int(seconds)) > TOLERANCE_S:
        return False
    expected = _digest(secret, identifier, seconds, body)
    given = (part.partition(",") for part in headers.get("webhook-signature", "").split())
    return any(version == "v1" and hmac.compare_digest(text, expected) for version, _, text in given)


def _digest(secret: str, identifier: str, seconds: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, f"{identifier}.{seconds}.".encode() + body, hashlib.sha256).digest()).decode()
