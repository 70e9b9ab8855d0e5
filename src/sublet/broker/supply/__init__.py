"""What we may rent out: contracts with providers, the blocks bought under them, and the nodes of those blocks.

Every node belongs to one block, every block to one contract, so the cost of each node-hour is known and margin is a
query. A node enters the calendar (`bookings`) when its block is bought; its state decides whether it may be booked.
Invariant: a state changes only along `values.MOVES`, with a reason and a line in the audit log; no act here touches a
confirmed booking.
"""
