"""Which version of the probe's report is spoken: the one thing that the node's side and the broker's side share."""

SCHEMA = 1
