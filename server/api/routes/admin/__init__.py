"""What administrators do: models and their traffic, keys, the columns of the catalog, and the log of all changes."""
