"""OpenTelemetry traces, where somebody collects them: spans of the passes, and the id that joins logs to traces.

Requests are traced by FastAPI itself once a tracer is set up: by the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`)
where `sublet[otel]` is installed. Invariant: without the packages, or without a collector, all of this does nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

try:
    from opentelemetry import trace
except ImportError:  # FastAPI brings it, but not every version of it did
    trace = None  # type: ignore[assignment]


def current() -> str:
    """The id of the trace that is under way, as its collector shows it; nothing where there is none."""
    if trace is None:
        return ""
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else ""


def span(name: str) -> AbstractContextManager[Any]:
    """A span of work that no request asked for."""
    return nullcontext() if trace is None else trace.get_tracer("sublet").start_as_current_span(name)
