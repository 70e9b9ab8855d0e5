"""Where the broker remembers: engine and transactions, one schema, identifiers, clocks, migrations, durable work.

Invariant: nothing here knows a lease or a price. Rooms bring their tables (`schema.Base`) and their functions over a
session; storage gives them one writer at a time, on SQLite and on PostgreSQL alike.
"""
