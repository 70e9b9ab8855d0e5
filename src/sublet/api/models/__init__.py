"""What crosses the wire, as pydantic models: the contract of `/v1`, apart from the values inside.

Invariant: under `/v1` fields are only ever added. Money is a decimal in a string with its currency; times are RFC 3339.
"""
