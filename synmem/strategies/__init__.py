"""What to send to a model: each strategy reads a history, newest first, and returns a Context."""
