"""Organisations, projects, people, tokens and rights."""
