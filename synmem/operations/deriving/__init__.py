"""What is derived from a conversation: contexts, summaries, entities."""
