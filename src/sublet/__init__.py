"""Sublet: a broker for scarce accelerators.

The rooms and the one flow between them are described in docs/concepts.md; nothing is imported here so that a
command pays only for the rooms it uses.
"""

__version__ = "0.1.0"
