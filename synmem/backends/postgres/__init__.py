"""Conversations in PostgreSQL: `store.py` is where the data lies, and the store."""
