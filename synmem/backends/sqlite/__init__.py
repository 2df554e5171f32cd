"""Conversations in SQLite files: `store.py` is where the data lies, and the store."""
