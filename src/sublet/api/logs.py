"""Structured logs: one JSON document a line, on standard error, with the request's id wherever there is one.

Invariant: no secret is ever logged; a request is logged by its route's template, never with its query or its body.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

from sublet.api import traces

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time, level, logger, message, process, request id, what `extra` added."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        if trace := traces.current():
            line["trace_id"] = trace
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure(level: str = "INFO") -> None:
    """Send the logs of Sublet and of the server to standard error as JSON lines; called once by `sublet serve`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("sublet", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # the gate writes a better one
