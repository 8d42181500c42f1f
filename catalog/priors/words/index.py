"""Words: items whose fields have a query's words, by BM25 with stemming (Robertson and Zaragoza, 2009), from tantivy.

Queries are made of terms, never parsed, so no syntax of tantivy's means anything: `AND`, quotes, `*` and `:` are text.

N items, Q questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise
from operator import add

import numpy as np
import scipy.sparse as sp
import tantivy

from catalog.data.items import Items
from catalog.text.normalization import normalized
from catalog.text.prompts import MAX_TEXT_CHARACTERS

__all__ = [
    "WordIndex",
    "WordSettings",
    "analyzer",
    "divided",
    "field_scores",
    "fit",
    "fit_pieces",
    "folded",
    "item_fields",
    "queries_of_items",
    "score",
    "weighted",
    "with_items",
    "words_of",
]

FIELDS = ("title", "brand", "categories", "description")
DIGITS, LETTER = re.compile(r"\d+"), re.compile(r"[^\W\d_]")
MAX_WORD = 60
"""Characters of the longest word that is indexed."""
MAX_HITS = 2_000
"""Items that a query finds in a field, the best."""
MEMORY = 32_000_000
"""Bytes that tantivy collects before it writes a segment."""
MEMORY_OF_CHANGES = 15_000_000
"""The same of changes, which is the least that it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSettings:
    """How words are matched.

    language: whose stemmer of tantivy's is used, such as english or german; None leaves words as they are.
    weights: what each field's BM25 is multiplied by.
    prefix: the last word of a query may be the beginning of a word, unless items have it as it is.
    """

    language: str | None = "english"
    weights: Mapping[str, float] = field(default_factory=dict)
    prefix: bool = True


class Writer:
    """Writes later changes. It is opened at the first of them, because it has memory and threads of its own."""

    def __init__(self, index: tantivy.Index) -> None:
        self.index = index

    @cached_property
    def opened(self) -> tantivy.IndexWriter:
        return self.index.writer(MEMORY_OF_CHANGES, num_threads=1)


@dataclass(frozen=True, slots=True)
class WordIndex:
    """A fielded index of N items.

    searcher: finds what was in the index when it was made.
    writer: of later changes.
    """

    searcher: tantivy.Searcher
    writer: Writer
    schema: tantivy.Schema
    analyzer: tantivy.TextAnalyzer
    fields: tuple[str, ...]
    items: int


def analyzer(language: str | None) -> tantivy.TextAnalyzer:
    """What divides a text into words: lower case, without accents, stemmed. Raises ValueError for another language."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(MAX_WORD)).filter(tantivy.Filter.lowercase())
    builder = builder.filter(tantivy.Filter.ascii_fold())
    return (builder.filter(tantivy.Filter.stemmer(language)) if language else builder).build()


def words_of(words: tantivy.TextAnalyzer, text: str) -> list[str]:
    """The distinct words of a text, in the order in which they come first."""
    return list(dict.fromkeys(words.analyze(divided(text[:MAX_TEXT_CHARACTERS]))))


def divided(text: str) -> str:
    """The normalised text with a space between letters and digits, so that 60m is 60 m, and cam0057 CAM-0057."""
    return DIGITS.sub(_apart, normalized(text))


def _apart(digits: re.Match[str]) -> str:
    """Digits with a space where a letter stands beside them, which is quicker than to look at every place of a text."""
    text, begin, end = digits.string, digits.start(), digits.end()
    before = " " if begin > 0 and LETTER.match(text, begin - 1) else ""
    return f"{before}{digits[0]}{' ' if LETTER.match(text, end) else ''}"


def folded(text: str) -> str:
    """A text, such as an id, without case, spaces and hyphens."""
    return "".join(c for c in normalized(text) if c.isalnum())


def item_fields(items: Items) -> dict[str, list[str]]:
    """The texts of all items, by the name of the field: those that any item has, and `text`, which is all in one."""
    columns = {name: items.table[name].to_pylist() for name in FIELDS}
    columns["categories"] = [", ".join(names or ()) for names in columns["categories"]]
    fields = {name: [text or "" for text in texts] for name, texts in columns.items() if any(texts)}
    return {"text": items.texts(), **fields}


def queries_of_items(queries: Sequence[str], count_TN: sp.csr_matrix) -> list[str]:
    """All queries that led to each item, as often as they did, rounded and at least once, in one text.

    queries, count_TN: as `clicks.count` gives them.
    """
    count_NT = sp.csr_matrix(count_TN.T)
    times_of = np.maximum(np.rint(count_NT.data), 1).astype(int).tolist()
    texts = []
    for begin, end in pairwise(count_NT.indptr.tolist()):
        asked = zip(count_NT.indices[begin:end].tolist(), times_of[begin:end], strict=True)
        texts.append(" ".join(queries[query] for query, times in asked for _ in range(times)))
    return texts


def fit(fields: Mapping[str, Sequence[str]], settings: WordSettings) -> WordIndex:
    """The index of these fields, in memory.

    fields: one text for each item, by the name of the field.
    """
    return fit_pieces(tuple(fields), [fields], settings)


def fit_pieces(
    fields: Sequence[str], pieces: Iterable[Mapping[str, Sequence[str]]], settings: WordSettings
) -> WordIndex:
    """The index of items that come in pieces, in memory.

    fields: the names of the fields, which every piece has in this order.
    """
    words = analyzer(settings.language)
    builder = tantivy.SchemaBuilder().add_unsigned_field("row", fast=True, indexed=True)
    for name in fields:
        builder = builder.add_text_field(f"text_{name}", tokenizer_name="words", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema)
    index.register_tokenizer("words", words)
    writer = index.writer(MEMORY, num_threads=1)
    items = 0
    for piece in pieces:
        end = items + len(next(iter(piece.values()), ()))
        _add(writer, range(items, end), piece)
        items = end
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return WordIndex(index.searcher(), Writer(index), schema, words, tuple(fields), items)


def with_items(
    index: WordIndex, rows: Sequence[int], fields: Mapping[str, Sequence[str]], gone: Sequence[int]
) -> WordIndex:
    """The index after a change; searches with the one before do not see it.

    rows: of items that are new or changed.
    fields: their texts, of the index's fields; those of others are left out.
    gone: the rows of items that are deleted.
    """
    writer = index.writer.opened
    for row in [*rows, *gone]:
        writer.delete_documents_by_query(tantivy.Query.term_query(index.schema, "row", row))  # by term none is found
    _add(writer, rows, {name: texts for name, texts in fields.items() if name in index.fields})
    writer.commit()
    index.writer.index.reload()
    items = max(index.items, max(rows, default=-1) + 1)
    return replace(index, searcher=index.writer.index.searcher(), items=items)


def _add(writer: tantivy.IndexWriter, rows: Iterable[int], fields: Mapping[str, Sequence[str]]) -> None:
    for row, texts in zip(rows, zip(*fields.values(), strict=True), strict=True):
        document = tantivy.Document()
        document.add_unsigned("row", row)
        for name, text in zip(fields, texts, strict=True):
            document.add_text(f"text_{name}", divided(text))
        writer.add_document(document)


def field_scores(index: WordIndex, queries: Sequence[str]) -> dict[str, sp.csr_matrix]:
    """The BM25 of every field for every query: float64 [Q, N], of the best MAX_HITS items, by the name of the field."""
    return {name: _scores_of(index, name, queries) for name in index.fields}


def score(index: WordIndex, queries: Sequence[str], settings: WordSettings) -> sp.csr_matrix:
    """The weighted sum of the fields' BM25 for every query: float64 [Q, N]; 0 for items without any of its words."""
    return weighted(field_scores(index, queries), settings.weights)


def weighted(scores: Mapping[str, sp.csr_matrix], weights: Mapping[str, float]) -> sp.csr_matrix:
    """The sum of the fields' scores, each times its weight; a field without a weight counts once."""
    weighted_QN = [scores_QN * weights.get(name, 1.0) for name, scores_QN in scores.items()]
    return reduce(add, weighted_QN)


def _scores_of(index: WordIndex, name: str, queries: Sequence[str]) -> sp.csr_matrix:
    rows, values, starts = [], [], [0]
    for query in queries:
        hits = _hits(index, f"text_{name}", words_of(index.analyzer, query))
        rows += index.searcher.fast_field_values("row", [address for _, address in hits])
        values += [value for value, _ in hits]
        starts.append(len(rows))
    shape = (len(queries), index.items)
    return sp.csr_matrix((np.array(values, np.float64), np.array(rows, np.int64), starts), shape=shape)


def _hits(index: WordIndex, name: str, words: Sequence[str]) -> list[tuple[float, tantivy.DocAddress]]:
    if not words:
        return []
    terms = [(tantivy.Occur.Should, tantivy.Query.term_query(index.schema, name, word, "freq")) for word in words]
    found = index.searcher.search(tantivy.Query.boolean_query(terms), MAX_HITS, count=False)
    return [(float(value), address) for value, address in found.hits]
