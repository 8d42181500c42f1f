"""The text that a model reads: prompts, spelling and the words of queries."""
