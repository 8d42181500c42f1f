"""API keys: who may read, write and administer. `python -m server.keys` makes, lists and revokes them."""
