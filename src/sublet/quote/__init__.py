"""Offers x estimates: ranked, explained quotes."""
