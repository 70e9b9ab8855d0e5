"""Judging: what was read of a node, against what was sold and what its peers reach. Values in, values out.

Invariants: unknown is never healthy; a verdict can be computed again from the same readings, catalogue and references;
one cause is one finding, however many symptoms it has.
"""
