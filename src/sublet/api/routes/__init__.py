"""The routes of `/v1`, one module per room. Each route names the action of the rights table that it needs."""
