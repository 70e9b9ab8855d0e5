"""Qualification: what a node must be before it may cost a tenant anything.

Observation and judgement are apart: `probe` runs on the node and measures, `checks` and `gate` judge values, `observe`
brings the one to the other through a provider, `certificate` signs what came out. Invariant: what was not measured is
unknown, and unknown is never healthy.
"""
