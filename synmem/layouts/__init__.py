"""Layouts: whose tables, keys, documents or files they are; turned into messages and back."""
