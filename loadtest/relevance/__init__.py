"""Relevance: whether a bundle finds what any shopper would expect, in questions made from its own catalog."""
