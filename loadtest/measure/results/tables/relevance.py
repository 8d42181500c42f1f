"""What is found for titles and names that a catalog tells by itself, and for misspelled queries.

From relevance-shop.json, by `loadtest.relevance`, and misspellings.json, by `trainer.analysis.misspellings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.measure.results.tables.cells import bold_figures, figure_of, markdown_table
from trainer.evaluation.metrics import MIN_QUESTIONS

__all__ = ["misspellings", "relevance"]

KINDS = {
    "exact_title": "the exact title",
    "title_plain": "the same in lower case, without punctuation",
    "title_slip": "a title with one slip",
    "words_swapped": "two of its words swapped",
    "other_number": "its last word in the other number",
    "accents_dropped": "without its accents",
    "full_width": "in full-width letters",
    "three_quarters_title": "the first three quarters of its letters",
    "half_title": "the first half of its letters",
    "quarter_title": "the first quarter of its letters",
    "id": "the id",
    "id_without_hyphens": "the id in lower case, with spaces for hyphens",
    "brand": "a brand: the share of its items",
    "category": "a category: the share of its items",
    "brand_category": "a brand and a category: the share of their items",
    "number_category": "a number with its unit and a category",
    "value_category": "a value of a further column, such as a colour, and a category",
}
"""The kinds of questions, in order, and what is typed."""
PLACES = ("first", "ten")


def relevance(report: Mapping[str, Any]) -> str:
    """One table; of kinds with few questions nothing is bold."""
    rows = [_row(name, report["kinds"][name]) for name in KINDS if name in report["kinds"]]
    return markdown_table(["typed", "questions", "model: first", "in ten", "guided: first", "in ten"], rows)


def _row(name: str, kind: Mapping[str, Any]) -> list[str]:
    few = kind["questions"] < MIN_QUESTIONS
    cells = [
        _cell(kind[method][place], kind[other][place], few=few)
        for method, other in (("model", "guided"), ("guided", "model"))
        for place in PLACES
    ]
    return [KINDS[name], f"{kind['questions']}{', few' if few else ''}", *cells]


def _cell(own: float, other: float, *, few: bool) -> str:
    return f"**{own:.2f}**" if own > other and not few else f"{own:.2f}"


def misspellings(report: Mapping[str, Any]) -> str:
    """Recall@10 of queries as they were typed and with a slip, as it is and corrected, of the model alone and guided.

    Bold within a row. Older reports have nothing guided.
    """
    asked = [report, report["guided"]] if "guided" in report else [report]
    rows = []
    for title, names in (
        ("as typed", ("clean", "clean_corrected")),
        ("with one slip of the fingers in one word", ("misspelled", "corrected")),
    ):
        rows.append([title, *bold_figures([figure_of(own[name], "recall@10") for own in asked for name in names])])
    ways = ["as it is", "corrected", "guided, as it is", "guided, corrected"][: 2 * len(asked)]
    return markdown_table([f"Recall@10 of {report['questions']:,} searches", *ways], rows)
