"""Who did what, when, to what, and why: append-only and hash-chained."""
