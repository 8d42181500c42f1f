"""The language model that is tuned (`backbone`), identifiers for items (`semantic_ids`), and warm starts."""
