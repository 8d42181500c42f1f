"""Engines: give one a prompt, get the best items."""
