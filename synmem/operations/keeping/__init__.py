"""Removing messages, and what makes that undoable."""
