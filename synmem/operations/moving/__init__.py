"""Moving conversations from store to store, and the proof that they arrived."""
