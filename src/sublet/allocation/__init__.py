"""Who is served when, and why: calendar, placement, policies, promises and the replay of real traces.

Pure: values and arrays in, values out. Invariant: every decision is returned with its reason, and the same input gives
the same bytes.
"""
