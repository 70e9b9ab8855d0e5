"""What the tenant wants to run."""
