"""Webhooks: what happens in a tenant's leases and orders is told to an address of theirs, signed, until it is heard."""
