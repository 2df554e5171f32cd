"""Conversations in files, which are only read: `store.py` is where the data lies, and the store."""
