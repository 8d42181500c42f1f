"""Suggestions for what somebody has begun to type: queries that several people typed, and values of columns."""

from catalog.suggestions.completions import Completion, Completions
from catalog.suggestions.screen import BLOCKED_WORDS, Screen, is_private
from catalog.suggestions.typed_queries import MIN_PEOPLE, TypedQueries, TypedQuery, key_of

__all__ = [
    "BLOCKED_WORDS",
    "MIN_PEOPLE",
    "Completion",
    "Completions",
    "Screen",
    "TypedQueries",
    "TypedQuery",
    "is_private",
    "key_of",
]
