"""Which node is whose, when: the calendar of every node, and the only door to it.

Other rooms come in through `service`; no other room reads or writes these tables. A node enters the calendar when it is
bought and leaves it when the block ends; what takes it in between (a lease, maintenance, an outage) is a booking.

Invariants, which the database keeps by itself (`guards`): no node is in two bookings at one instant; a confirmed
booking never moves to another node, start or holder, and is never deleted. Intervals are half-open, [start, end), exact
to the microsecond.
"""
