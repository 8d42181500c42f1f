"""The language model that is tuned (`backbone`), the items' identifiers, and warm starts from a published bundle."""
