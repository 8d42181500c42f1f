"""Words: what items' texts say about a query, by an index of words and by comparing items with it one by one."""

from catalog.priors.words.features import WORD_FEATURES, FoundByWords, WordFeatures
from catalog.priors.words.index import (
    WordIndex,
    WordSettings,
    analyzer,
    divided,
    field_scores,
    fit,
    item_fields,
    queries_of_items,
    score,
    weighted,
    words_of,
)
from catalog.priors.words.matches import TEXT_COLUMNS, Match

__all__ = [
    "TEXT_COLUMNS",
    "WORD_FEATURES",
    "FoundByWords",
    "Match",
    "WordFeatures",
    "WordIndex",
    "WordSettings",
    "analyzer",
    "divided",
    "field_scores",
    "fit",
    "item_fields",
    "queries_of_items",
    "score",
    "weighted",
    "words_of",
]
