"""Leases: what a tenant holds, from the day it is promised to the receipt. One state machine, one engine behind it.

`states` is the machine as data, `decide` says what to do next (pure), `engine` does it, `service` is what people ask.
"""
