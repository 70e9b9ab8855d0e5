"""Events as e-mail: a hook whose address is `mailto:...` is told through the operator's mail server.

The broker speaks SMTP to one server that the operator names; that server signs, queues and delivers. Invariant: without
one nothing is sent, and the delivery says so; an address is always that of a person of the organisation (`service`).
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sublet.broker.hooks.values import Call, Outcome
from sublet.errors import InputError

if TYPE_CHECKING:
    import smtplib

FILE = "mail.toml"
SCHEME = "mailto:"
TIMEOUT_S = 10.0
_KEYS = {"host", "port", "from", "starttls", "user", "password"}


@dataclass(frozen=True)
class Mail:
    """The operator's mail server."""

    host: str
    sender: str
    port: int = 25
    starttls: bool = False
    user: str = ""
    password: str = ""


def read_mail(home: Path) -> Mail | None:
    """The server of `mail.toml` (host, from; port, starttls, user, password), None where there is no such file.

    Raises InputError that names the file.
    """
    path = home / FILE
    if not path.exists():
        return None
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    if unknown := sorted(set(told) - _KEYS):
        raise InputError(f"{path}: {unknown[0]} is not known: keys are {', '.join(sorted(_KEYS))}")
    if not isinstance(told.get("host"), str) or "@" not in str(told.get("from", "")):
        raise InputError(f'{path}: give host = "mail.example.org" and from = "broker@example.org"')
    port = told.get("port", 587 if told.get("starttls") else 25)
    if not isinstance(port, int) or not 0 < port < 65536:
        raise InputError(f"{path}: port is {port!r}: give 1 to 65535")
    return Mail(
        host=told["host"],
        sender=str(told["from"]),
        port=port,
        starttls=bool(told.get("starttls", False)),
        user=str(told.get("user", "")),
        password=str(told.get("password", "")),
    )


def address(url: str) -> str:
    """Whom a `mailto:` address means."""
    return unquote(url.removeprefix(SCHEME))


def post(mail: Mail | None, call: Call, at: datetime) -> Outcome:
    """Hand one event to the mail server."""
    import smtplib

    if mail is None:
        return Outcome(call.delivery, None, "this broker has no mail server: its operator names one in mail.toml")
    try:
        with smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S) as server:
            _greet(server, mail)
            server.send_message(_letter(mail, call, at))
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        return Outcome(call.delivery, code, f"{code} {words.decode(errors='replace')}")
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return Outcome(call.delivery, error.smtp_code, f"{error.smtp_code} {said}")
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(call.delivery, None, f"{type(error).__name__}: {error}")
    return Outcome(call.delivery, 250)


def _greet(server: smtplib.SMTP, mail: Mail) -> None:
    import ssl

    if mail.starttls:
        server.starttls(context=ssl.create_default_context())
    if mail.user:
        server.login(mail.user, mail.password)


def _letter(mail: Mail, call: Call, at: datetime) -> EmailMessage:
    event = json.loads(call.body)
    data = event["data"]
    about = data.get("lease") or data.get("target") or ""
    letter = EmailMessage()
    letter["From"], letter["To"] = mail.sender, address(call.url)
    letter["Subject"] = f"[Sublet] {event['type']} {about}".strip()
    letter["Date"] = at
    letter["Message-ID"] = f"<{call.delivery}@{mail.sender.rpartition('@')[2]}>"  # a second attempt is the same letter
    letter["Auto-Submitted"] = "auto-generated"
    said = [f"{name}: {value}" for name, value in data.items() if isinstance(value, str | int | float) and value != ""]
    letter.set_content("\n".join([f"{event['type']} at {event['timestamp']}", "", *said, ""]))
    return letter
