"""Accelerators, shapes and offers: facts with a source and a date."""
