"""What administrators do: models and their traffic, keys, and the log of all changes."""
