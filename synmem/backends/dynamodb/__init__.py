"""Conversations in DynamoDB: `store.py` is where the data lies, and the store."""
