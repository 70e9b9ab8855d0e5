"""What the broker refuses, as one tree: each error is a sentence, an HTTP status and a problem type (RFC 9457)."""

from __future__ import annotations

from sublet.errors import SubletError


class BrokerError(SubletError):
    """Anything the broker refuses; `status` and `type` go into problem+json."""

    status = 400
    type = "refused"


class Invalid(BrokerError):
    """What was asked for makes no sense as it stands."""

    status = 422
    type = "invalid"


class Unauthenticated(BrokerError):
    """No token, or one that is unknown, expired or revoked."""

    status = 401
    type = "unauthenticated"


class Forbidden(BrokerError):
    """The actor is known and may not do this."""

    status = 403
    type = "forbidden"


class NotFound(BrokerError):
    """No such thing, or one that belongs to somebody else: the two are not told apart."""

    status = 404
    type = "not-found"


class Conflict(BrokerError):
    """The thing is not in a state that allows it, or the idempotency key was used for something else."""

    status = 409
    type = "conflict"


class Expired(BrokerError):
    """The quote's or the token's time is over."""

    status = 410
    type = "expired"


class Refused(BrokerError):
    """A limit stands against it: the sentence names the dimension, the limit and the use."""

    status = 409
    type = "limit"

    def __init__(self, sentence: str, *, dimension: str, limit: str, use: str) -> None:
        super().__init__(sentence)
        self.dimension, self.limit, self.use = dimension, limit, use


class RateLimited(BrokerError):
    """Too many requests; `retry_after_s` says when to come back."""

    status = 429
    type = "rate-limited"

    def __init__(self, sentence: str, *, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
