"""ETags: a strong hash of the bytes that were sent, and the check of If-Match against it."""

from __future__ import annotations

import hashlib

from sublet.api.problems import PreconditionFailed


def etag(content: bytes) -> str:
    """The entity tag of a representation."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def check(if_match: str | None, content: bytes) -> None:
    """PreconditionFailed where `if_match` is given and none of its tags is that of `content`."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(content) not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed("it was changed since you read it: read it again, and send its new ETag")
