"""Qualify a node before anybody leases it: its figures are what quotes on it rest on."""
