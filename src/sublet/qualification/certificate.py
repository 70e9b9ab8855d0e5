"""Qualification certificates: what was found of a node, signed with the broker's key, checkable by anyone.

A certificate is JSON: `body` (what is said) and `signature` (Ed25519 over the body's canonical bytes). It travels with
the lease and is evidence later. Invariant: `verify` answers only for a key that the caller trusts; the key inside a
certificate tells which one is meant and proves nothing by itself.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sublet.errors import InputError
from sublet.qualification.values import Sold, Verdict

SCHEMA = "sublet.qualification.certificate/1"
KEY_FILE = "signing-key.pem"

Certificate = dict[str, Any]


class Signer:
    """The broker's signing key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key: bytes = key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, body: Mapping[str, Any]) -> Certificate:
        """The certificate over `body`, which must be JSON. Raises ValueError for infinities and NaN."""
        value = self._key.sign(canonical(body))
        signature = {
            "algorithm": "Ed25519",
            "key_id": self.key_id,
            "public_key": base64.b64encode(self.public_key).decode(),
            "value": base64.b64encode(value).decode(),
        }
        return {"body": json.loads(canonical(body)), "signature": signature}


def body(
    verdict: Verdict,
    sold: Sold,
    *,
    lease: str,
    node: str,
    provider: str,
    ref: str,
    issued_at: dt.datetime,
) -> dict[str, Any]:
    """What a certificate says of one node: who, what was sold, every finding, the figures, and when."""
    return {
        "schema": SCHEMA,
        "issued_at": issued_at.astimezone(dt.UTC).isoformat(),
        "lease": lease,
        "node": node,
        "provider": provider,
        "ref": ref,
        "sold": asdict(sold),
        "verdict": verdict.verdict,
        "coverage": verdict.coverage,
        "findings": [asdict(finding) for finding in verdict.findings],
        "measured": dict(verdict.measured),
    }


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one spelling of a document that is signed: UTF-8 JSON, keys in order, no spaces, no NaN."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def verify(certificate: Mapping[str, Any], trusted: bytes) -> bool:
    """Whether `certificate` was signed by the key whose public half (32 bytes) is `trusted`, unchanged since."""
    try:
        signature = certificate["signature"]
        if signature["algorithm"] != "Ed25519" or signature["key_id"] != key_id(trusted):
            return False
        value = base64.b64decode(signature["value"], validate=True)
        Ed25519PublicKey.from_public_bytes(trusted).verify(value, canonical(certificate["body"]))
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, InvalidSignature):
        return False
    return True


def key_id(public_key: bytes) -> str:
    """A short name of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def load_signer(home: Path) -> Signer:
    """The key in `home`/signing-key.pem, made at the first call; only its owner may read it (0600).

    Raises InputError where the file is readable by others or is no such key. Safe for several processes at once.
    """
    path = home / KEY_FILE
    if not path.exists():
        _make(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise InputError(f"{path} can be read by others (mode {mode:04o}): run chmod 600 on it, or replace the key")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        raise InputError(f"{path} is no private key in PEM: restore it from the backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no Ed25519 key: restore it from the backup")
    return Signer(key)


def _make(path: Path) -> None:
    """Write a new key beside, then link it into place: of several that do so at once, the first one's stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
