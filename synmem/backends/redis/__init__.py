"""Conversations in Redis: `store.py` is where the data lies, and the store."""
