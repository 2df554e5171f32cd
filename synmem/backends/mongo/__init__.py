"""Conversations in MongoDB: `store.py` is where the data lies, and the store."""
