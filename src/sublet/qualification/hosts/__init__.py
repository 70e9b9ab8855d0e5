"""Hosts: where observations come from. A machine that runs commands, a directory that recorded one, a node over SSH.

Invariant: a recorded host answers exactly as the live one did, exit status and errors included, so that a verdict over
a recording is the verdict over the machine at that moment.
"""
