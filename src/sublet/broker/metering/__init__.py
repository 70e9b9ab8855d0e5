"""Usage records: which node served which lease, from when until when, and whether the tenant pays for it."""
