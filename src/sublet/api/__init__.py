"""The broker over HTTP: `/v1` with OpenAPI, health, readiness and metrics.

A face: it authenticates, reads the request, calls one service in one transaction and writes the answer; no rule of the
broker lives here. `create_app` in `sublet.api.app` is the only door.
"""
