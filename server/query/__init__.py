"""One query from admission to result: search, recommendation and similar items."""
