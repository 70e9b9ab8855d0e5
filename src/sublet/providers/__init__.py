"""Providers: adapters that make a lease real. `protocol` is what each of them keeps; the broker knows nothing else."""
