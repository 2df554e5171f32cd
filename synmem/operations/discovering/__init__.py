"""Discover: what stores there are on this machine, and how much is in each."""
