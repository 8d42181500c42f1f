"""Engines: each runs one model; given a prompt, it returns the best items."""
