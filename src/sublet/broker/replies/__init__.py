"""What was answered to whom under which idempotency key, so that a request sent twice acts once."""
