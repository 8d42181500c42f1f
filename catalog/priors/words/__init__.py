"""Words: what items' texts say about a query, by an index of words and by comparing items with it one by one."""

from catalog.priors.words.content import CONTENT_FEATURES, CONTENT_ITEMS
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
from catalog.priors.words.synonyms import (
    MAX_SYNONYMS,
    NO_WORDINGS,
    ReadAs,
    Synonyms,
    SynonymSet,
    Wording,
    Wordings,
    fault_of,
    without_words,
    words_in_order,
)

__all__ = [
    "CONTENT_FEATURES",
    "CONTENT_ITEMS",
    "MAX_SYNONYMS",
    "NO_WORDINGS",
    "TEXT_COLUMNS",
    "WORD_FEATURES",
    "FoundByWords",
    "Match",
    "ReadAs",
    "SynonymSet",
    "Synonyms",
    "WordFeatures",
    "WordIndex",
    "WordSettings",
    "Wording",
    "Wordings",
    "analyzer",
    "divided",
    "fault_of",
    "field_scores",
    "fit",
    "item_fields",
    "queries_of_items",
    "score",
    "weighted",
    "without_words",
    "words_in_order",
    "words_of",
]
