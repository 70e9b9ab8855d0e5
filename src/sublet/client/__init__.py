"""The Python SDK: `sublet.Client` and `sublet.AsyncClient`, which know HTTP and nothing of the broker's inside."""
