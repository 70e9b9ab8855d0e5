"""How one API process behaves: sizes, spans and switches, with the defaults of the embedded broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What may be chosen when a process starts; nothing here changes what an answer means."""

    body_bytes: int = 1_048_576
    """Largest request body; a longer one is 413 before it is read."""
    requests_per_s: float = 100.0
    """What one token may ask for, on average; every process grants as much."""
    burst: float = 400.0
    """What one token may ask for at once."""
    unknown_per_s: float = 5.0
    """Unknown tokens that one address may show, on average: who guesses, guesses slowly."""
    unknown_burst: float = 50.0
    """Unknown tokens that one address may show at once."""
    actor_s: float = 1.0
    """For how long a checked token is believed without asking the database again."""
    tick_s: float = 1.0
    """Between two passes of the engine and of deliveries in this process; 0: this process makes none."""
    stream_s: float = 0.5
    """Between two looks for new events of an open stream."""
    heartbeat_s: float = 15.0
    """Between two comments that keep an idle stream open."""
    stream_limit_s: float = 900.0
    """After this long a stream ends and the client comes back with Last-Event-ID, its token checked anew."""
    streams: int = 256
    """Streams that one process holds open at once."""
    private_hooks: bool = False
    """Whether webhooks may go to addresses that are not public (loopback, the operator's own network)."""
    access_log: bool = True
    """One line of JSON on standard error for each request."""
