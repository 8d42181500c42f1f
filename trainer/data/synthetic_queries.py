"""Synthetic search queries: what people might type to find an item, made of its own text, sometimes with a typo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

TYPO_SHARE = 0.15  # of the queries get one typo
WORD = re.compile(r"[^\W_]+", re.UNICODE)


def synthetic_query(record: Mapping[str, Any], generator: np.random.Generator) -> str:
    """A query of one to six words from the item's title, brand and categories; never blank."""
    title = WORD.findall(record.get("title") or "")
    facets = [*WORD.findall(record.get("brand") or ""), *_words(record.get("categories") or [])]
    words = _pick(title, facets, generator) or [str(record["item_id"])]
    if generator.random() < TYPO_SHARE:
        chosen = int(generator.integers(len(words)))
        words[chosen] = _misspelled(words[chosen], generator)
    return " ".join(words)


def _words(categories: list[str]) -> list[str]:
    return [word for category in categories[-2:] for word in WORD.findall(category)]


def _pick(title: list[str], facets: list[str], generator: np.random.Generator) -> list[str]:
    kind = generator.random()
    if not title or (facets and kind < 0.15):
        return _sample(facets, 3, generator)
    if kind < 0.45:
        return title[:6]
    start = int(generator.integers(len(title)))
    words = title[start : start + int(generator.integers(1, 4))]
    return words + (_sample(facets, 1, generator) if facets and kind > 0.85 else [])


def _sample(words: list[str], max_words: int, generator: np.random.Generator) -> list[str]:
    count = min(len(words), int(generator.integers(1, max_words + 1)))
    return [words[i] for i in sorted(generator.choice(len(words), count, replace=False))] if words else []


def _misspelled(word: str, generator: np.random.Generator) -> str:
    """The word with two letters swapped, one left out, or one doubled. Words below four letters stay as they are."""
    if len(word) < 4:
        return word
    at = int(generator.integers(1, len(word) - 1))
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return [swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]][int(generator.integers(3))]
