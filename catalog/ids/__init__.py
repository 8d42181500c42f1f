"""Identifiers of items: text embeddings, codes, the index of all codes, and codes for new items."""
