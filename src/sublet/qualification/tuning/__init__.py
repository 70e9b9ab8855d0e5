"""Tuning: remedies for findings that we can mend, each reversible, each kept only where its own check is better after.

Invariant: nothing is changed before the way back is in the journal on the disk.
"""
