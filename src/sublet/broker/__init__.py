"""The rooms with a life: tenants, supply, orders, bookings, leases, metering, billing, audit."""
