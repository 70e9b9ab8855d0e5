"""Quotes that are kept, the orders that accept them, approvals, and the waitlist.

A quote never changes and expires. An order accepts one: its whole cost is held against the budget, somebody approves it
where the project asks for that, and it becomes a lease on booked nodes, or waits in line with a position and reasons.
Invariant: one idempotency key of a project is one order; an accepted order has a lease and every node of it is booked;
nobody further down the line delays those who stand before.
"""
