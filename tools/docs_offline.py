"""A hook of mkdocs: no page of the docs may fetch anything from another host.

Links that a reader follows may lead anywhere; scripts, styles, fonts, frames and pictures must come with the page.

Invariant: a page that would fetch from elsewhere is a warning, and the docs are built with warnings as failures.
"""

from __future__ import annotations

import logging
import re

log = logging.getLogger("mkdocs.hooks.docs_offline")
FETCHES = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*\brel=["']?(?:canonical|prev|next)\b)[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)


def on_post_page(output: str, *, page: object, config: object) -> str:
    """Called by mkdocs with the whole HTML of each page; returns it unchanged."""
    for match in FETCHES.finditer(output):
        log.warning("%s would fetch %s from another host", page, match.group(1) or match.group(2))
    return output
