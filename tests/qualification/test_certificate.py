"""Certificates: signed once, checked by anyone who knows the key, and by nobody else's leave."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
import os
import shutil
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sublet.errors import InputError
from sublet.qualification import certificate, gate
from sublet.qualification.values import Observation, Sold

ED25519_DER = bytes.fromhex("302a300506032b6570032100")  # what RFC 8410 puts before the 32 bytes of a public key
SOLD = Sold("H100 SXM", 8, 192, 2e12)


@pytest.fixture
def signer(tmp_path):
    return certificate.load_signer(tmp_path / "home")


@pytest.fixture
def signed(signer):
    verdict = gate.judge(SOLD, Observation(error="nothing was measured"))
    return signer.sign(
        certificate.body(
            verdict,
            SOLD,
            lease="lea_1",
            node="nod_1",
            provider="local",
            ref="local-1",
            issued_at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        )
    )


def test_a_certificate_says_what_was_found_and_verifies(signer, signed):
    assert certificate.verify(signed, signer.public_key)
    assert certificate.verify(json.loads(json.dumps(signed, indent=4)), signer.public_key)
    assert signed["body"]["verdict"] == "unknown"
    assert signed["body"]["sold"]["accelerator"] == "H100 SXM"
    assert signed["body"]["issued_at"] == "2026-01-02T03:04:05+00:00"
    assert len(signed["body"]["findings"]) == 13


@pytest.mark.parametrize(
    "path",
    [("body", "verdict"), ("body", "lease"), ("body", "coverage"), ("body", "findings"), ("signature", "value")],
)
def test_a_changed_certificate_does_not_verify(signer, signed, path):
    forged = copy.deepcopy(signed)
    forged[path[0]][path[1]] = {"verdict": "pass", "findings": []}.get(path[1], "AAAA")
    assert not certificate.verify(forged, signer.public_key)


def test_a_certificate_of_another_key_does_not_verify_though_it_carries_that_key(tmp_path, signer, signed):
    other = certificate.load_signer(tmp_path / "other")
    forged = other.sign({**signed["body"], "verdict": "pass"})
    assert certificate.verify(forged, other.public_key)
    assert not certificate.verify(forged, signer.public_key)
    forged["signature"]["key_id"] = signer.key_id
    assert not certificate.verify(forged, signer.public_key)


@pytest.mark.parametrize("junk", [{}, {"body": {}}, {"body": {}, "signature": None}, {"body": {}, "signature": {}}])
def test_what_is_no_certificate_does_not_verify(signer, junk):
    assert not certificate.verify(junk, signer.public_key)


def test_the_same_body_has_the_same_bytes_and_signature(signer):
    one = signer.sign({"b": 1, "a": {"y": 0.1, "x": "µ"}})
    two = signer.sign({"a": {"x": "µ", "y": 0.1}, "b": 1})
    assert one == two
    assert certificate.canonical({"b": 1, "a": "µ"}) == '{"a":"µ","b":1}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        signer.sign({"a": float("nan")})


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    first, second = certificate.load_signer(tmp_path), certificate.load_signer(tmp_path)
    assert first.public_key == second.public_key
    path = tmp_path / certificate.KEY_FILE
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert os.listdir(tmp_path) == [certificate.KEY_FILE]
    path.chmod(0o644)
    with pytest.raises(InputError, match="can be read by others"):
        certificate.load_signer(tmp_path)


def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path):
    path = tmp_path / certificate.KEY_FILE
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(InputError, match="no private key"):
        certificate.load_signer(tmp_path)
    assert path.read_text() == "no key"


def test_several_processes_at_once_make_one_key(tmp_path):
    program = (
        "import sys, pathlib; from sublet.qualification.certificate import load_signer;"
        "print(load_signer(pathlib.Path(sys.argv[1])).key_id)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({process.communicate(timeout=60)[0] for process in running}) == 1


def test_openssl_alone_verifies_a_certificate(tmp_path, signer, signed):
    """As docs/qualification.md tells: no line of ours is needed to check what we signed."""
    if shutil.which("openssl") is None:
        pytest.skip("needs installed: openssl")
    body = json.dumps(signed["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = serialization.load_der_public_key(ED25519_DER + base64.b64decode(signed["signature"]["public_key"]))
    (tmp_path / "key.pem").write_bytes(
        key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "signature").write_bytes(base64.b64decode(signed["signature"]["value"]))

    def openssl(content: bytes) -> int:
        (tmp_path / "body").write_bytes(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "body"]
        return subprocess.run(
            [*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, timeout=30
        ).returncode

    assert openssl(body) == 0
    assert openssl(body.replace(b'"verdict":"unknown"', b'"verdict":"pass"')) != 0


def test_cryptography_alone_verifies_a_certificate(signer, signed):
    body = json.dumps(signed["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signed["signature"]["public_key"]))
    public.verify(base64.b64decode(signed["signature"]["value"]), body)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signed["signature"]["value"]), body + b" ")
