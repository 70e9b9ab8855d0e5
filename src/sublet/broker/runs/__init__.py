"""Commands that tenants run on the nodes of their leases: who started what, when, and what became of it."""
