"""Questions whose right answers a catalog tells by itself: titles, with slips and halves, ids, and kinds of items.

N items.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.items import Items

__all__ = ["Question", "question_sets"]

MIN_OF_GROUP = 10
"""Items that a brand or category has at least, so that ten of them could be found."""
MIN_ALIKE = 3
"""Items that have the same number, or the same value of a column, in a category at least."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FULL_WIDTH = {letter: letter + 0xFEE0 for letter in range(0x21, 0x7F)}
COUNTED = re.compile(r"(?<![\w.,])(\d+)[\s-]*([^\W\d_]+)")
"""A number and the word behind it."""
NAMED_COLUMNS = ("item_id", "title", "description", "brand")
"""Columns of text that other questions ask for, or none."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is typed, and which items are right, bool [N].

    one: whether a single item is looked for, rather than any of a kind.
    """

    text: str
    right_N: NDArray[np.bool_]
    one: bool


def question_sets(items: Items, count: int, seed: int) -> Mapping[str, Sequence[Question]]:
    """The questions of each kind that this catalog allows, at most `count` of each, drawn by the seed."""
    generator = np.random.default_rng(seed)
    titles = [title or "" for title in items.table["title"].to_pylist()]
    titled = [row for row, title in enumerate(titles) if len(title.split()) >= 2]
    drawn = sorted(generator.permutation(titled)[:count].tolist())
    alike = _groups(titles)
    sets: dict[str, list[Question]] = {}
    for kind, change in _changes(generator).items():
        texts = ((row, change(titles[row])) for row in drawn)
        sets[kind] = [Question(text, alike[titles[row]], True) for row, text in texts if text is not None]
    ids = items.table["item_id"].to_pylist()
    for kind, write in (("id", str), ("id_without_hyphens", lambda item_id: item_id.lower().replace("-", " "))):
        sets[kind] = [Question(write(ids[row]), np.arange(len(items)) == row, True) for row in drawn]
    sets |= _kinds(items, count, generator)
    sets |= {
        kind: [Question(text, right_N, False) for text, right_N in _drawn(groups, count, generator, MIN_ALIKE)]
        for kind, groups in (("number_category", _counted(items)), ("value_category", _valued(items)))
    }
    return {kind: questions for kind, questions in sets.items() if questions}


def _changes(generator: np.random.Generator) -> Mapping[str, Callable[[str], str | None]]:
    """For each kind of question how a title is typed; None where the title does not allow it."""
    return {
        "exact_title": lambda title: title,
        "title_slip": lambda title: _slip(title, generator),
        "title_plain": lambda title: " ".join("".join(c if c.isalnum() else " " for c in title.lower()).split()),
        "words_swapped": _swapped,
        "other_number": _other_number,
        "accents_dropped": _unaccented,
        "full_width": lambda title: title.translate(FULL_WIDTH),
        "half_title": lambda title: _beginning(title, 1 / 2),
        "quarter_title": lambda title: _beginning(title, 1 / 4),
        "three_quarters_title": lambda title: _beginning(title, 3 / 4),
    }


def _slip(title: str, generator: np.random.Generator) -> str | None:
    """One letter replaced, dropped, doubled or swapped with the next, in a word of four letters or more."""
    places = [
        begin + offset
        for begin, word in _words(title)
        if len(word) >= 4 and word.isalpha()
        for offset in range(1, len(word) - 1)
    ]
    if not places:
        return None
    at = places[int(generator.integers(len(places)))]
    letter = LETTERS[int(generator.integers(len(LETTERS)))]
    slips = (
        letter + title[at + 1 :],
        title[at + 1 :],
        title[at] + title[at:],
        title[at + 1] + title[at] + title[at + 2 :],
    )
    slipped = title[:at] + slips[int(generator.integers(len(slips)))]
    return slipped if slipped != title else title[:at] + title[at + 1 :]


def _words(title: str) -> Iterator[tuple[int, str]]:
    begin = 0
    for word in title.split(" "):
        yield begin, word
        begin += len(word) + 1


def _swapped(title: str) -> str | None:
    first, second, *others = title.split()
    return None if first == second else " ".join([second, first, *others])


def _other_number(title: str) -> str | None:
    """The last word in the plural, or in the singular where it ends with an s."""
    if not title[-1].isalpha() or not title.isascii():
        return None
    return title[:-1] if title.endswith("s") and not title.endswith("ss") else f"{title}s"


def _unaccented(title: str) -> str | None:
    plain = "".join(c for c in unicodedata.normalize("NFD", title) if not unicodedata.combining(c))
    return None if plain == title else plain


def _beginning(title: str, share: float) -> str:
    """The first letters, as many as this share of them."""
    return title[: max(1, round(len(title) * share))].rstrip()


def _kinds(items: Items, count: int, generator: np.random.Generator) -> dict[str, list[Question]]:
    """Questions for any item of a brand, of a category, or of both."""
    brands = np.array([brand or "" for brand in items.table["brand"].to_pylist()], dtype=object)
    categories = [names or [] for names in items.table["categories"].to_pylist()]
    has_brand = {name: brands == name for name in sorted(set(brands) - {""})}
    has_category = {
        name: np.array([name in own for own in categories]) for name in sorted({n for own in categories for n in own})
    }
    both = {
        f"{brand} {category}": of_brand & of_category
        for brand, of_brand in has_brand.items()
        for category, of_category in has_category.items()
    }
    kinds = {"brand": has_brand, "category": has_category, "brand_category": both}
    return {
        kind: [Question(text, right_N, False) for text, right_N in _drawn(groups, count, generator)]
        for kind, groups in kinds.items()
    }


def _counted(items: Items) -> dict[str, NDArray[np.bool_]]:
    """The items of a category with a number in their titles, such as `4 person tents`."""
    titles = items.table["title"].to_pylist()
    return _in_categories(
        items, [{f"{n} {word}".lower() for n, word in COUNTED.findall(title or "")} for title in titles]
    )


def _valued(items: Items) -> dict[str, NDArray[np.bool_]]:
    """The items of a category with a value of a further column, such as `blue tents`."""
    columns = [field.name for field in items.table.schema if pa.types.is_string(field.type)]
    rows = [items.table[name].to_pylist() for name in columns if name not in NAMED_COLUMNS]
    return _in_categories(items, [{value for value in own if value} for own in zip(*rows, strict=True)])


def _in_categories(items: Items, values: Sequence[set[str]]) -> dict[str, NDArray[np.bool_]]:
    """For each value and the last of the categories of an item that has it, the items that have both.

    values: of each item.
    """
    groups: dict[str, NDArray[np.bool_]] = {}
    for row, (own, names) in enumerate(zip(values, items.table["categories"].to_pylist(), strict=False)):
        for value in sorted(own) if names else ():
            groups.setdefault(f"{value} {names[-1]}", np.zeros(len(items), bool))[row] = True
    return groups


def _drawn(
    groups: Mapping[str, NDArray[np.bool_]], count: int, generator: np.random.Generator, least: int = MIN_OF_GROUP
) -> list[tuple[str, NDArray[np.bool_]]]:
    large = [(text, right_N) for text, right_N in groups.items() if right_N.sum() >= least]
    return [large[i] for i in np.sort(generator.permutation(len(large))[:count])]


def _groups(texts: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """For each text the items that have it, whatever its case."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text.casefold(), []).append(row)
    masks = {}
    for text in set(texts):
        masks[text] = np.zeros(len(texts), bool)
        masks[text][rows[text.casefold()]] = True
    return masks
