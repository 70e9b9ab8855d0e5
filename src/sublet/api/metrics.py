"""What Prometheus reads: HTTP by the names of OpenTelemetry, the fleet in the field's four words, leases by state.

Counters of requests belong to this process; figures of the broker are read from the database when somebody asks, so
every process gives the same. Invariant: no tenant's name or id is a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class FleetCount:
    """Nodes of one provider and shape at an instant."""

    provider: str
    shape: str
    accelerator: str
    states: Mapping[str, int]  # delivered, healthy, reserved, in_use, free, out


@dataclass(frozen=True)
class Snapshot:
    """What is counted in the database."""

    fleet: tuple[FleetCount, ...] = ()
    leases: Mapping[str, int] | None = None  # state -> leases
    waiting: int = 0
    audit_entries: int = 0


class Metrics:
    """The metrics of one application; each has a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "How long requests took, by method, route and status.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._ticks = Histogram(
            "sublet_reconcile_duration_seconds",
            "How long one pass over what is due took.",
            registry=self._registry,
        )
        self._failures = Counter(
            "sublet_reconcile_errors",
            "Passes that ended in an error, by what was done.",
            ("what",),
            registry=self._registry,
        )
        self._deliveries = Counter(
            "sublet_webhook_attempts", "Webhook calls made by this process.", registry=self._registry
        )
        fleet = ("provider", "shape", "accelerator")
        self._fleet = {
            name: Gauge(f"sublet_fleet_nodes_{name}", f"Nodes {meaning}.", fleet, registry=self._registry)
            for name, meaning in (
                ("delivered", "that were handed over and not returned"),
                ("healthy", "that are proved and neither in maintenance nor in an outage"),
                ("reserved", "that are held for a tenant"),
                ("in_use", "whose lease runs"),
                ("free", "that take bookings and are held by nothing"),
                ("out", "in maintenance or in an outage"),
            )
        }
        self._leases = Gauge("sublet_leases", "Leases by state.", ("state",), registry=self._registry)
        self._waiting = Gauge("sublet_waitlist_entries", "Orders that wait for nodes.", registry=self._registry)
        self._audit = Gauge("sublet_audit_entries", "Entries of the audit log.", registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def tick(self, seconds: float) -> None:
        """Count one pass of the engine."""
        self._ticks.observe(seconds)

    def failed(self, what: str) -> None:
        """Count a pass that ended in an error."""
        self._failures.labels(what).inc()

    def attempts(self, made: int) -> None:
        """Count webhook calls."""
        self._deliveries.inc(made)

    def text(self, snapshot: Snapshot) -> bytes:
        """The page that Prometheus reads."""
        for gauge in self._fleet.values():
            gauge.clear()
        for row in snapshot.fleet:
            for name, count in row.states.items():
                self._fleet[name].labels(row.provider, row.shape, row.accelerator).set(count)
        self._leases.clear()
        for state, count in (snapshot.leases or {}).items():
            self._leases.labels(state).set(count)
        self._waiting.set(snapshot.waiting)
        self._audit.set(snapshot.audit_entries)
        return generate_latest(self._registry)
