"""Search: by words and by meaning, and the indexes for it."""
