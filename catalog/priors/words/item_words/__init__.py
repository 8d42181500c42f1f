"""Item words: which words every item has, in which fields, and which items have a word."""

from catalog.priors.words.item_words.item_words import ItemWords, QueryWords

__all__ = ["ItemWords", "QueryWords"]
