"""Baselines that every model is compared with: popularity, item-kNN and BM25.

BM25 is that of the library bm25s. The other two are a count and a sparse matrix product, for which recommender
libraries would bring data formats and training loops of their own.

N items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import bm25s
import numpy as np
import scipy.sparse as sp

from catalog.data.items import Items
from catalog.text.prompts import clean_text
from trainer.data.histories import NO_QUERY, Histories, Question, Split
from trainer.evaluation.candidates import Candidates

LAST_ITEMS = 5  # how many items of a history item-kNN looks at
DECAY = 0.7  # weight of each of them against the one after it


def popularity(split: Split, candidates: Sequence[Candidates], items: int, k: int) -> list[np.ndarray]:
    """For every question, the candidates with the most training events: int64 [k] each.

    items: how many items the catalog has.
    """
    counts_N = np.bincount(split.train.items_E, minlength=items).astype(np.float64)
    return [own.best(counts_N, k) for own in candidates]


def item_knn(
    split: Split, questions: Sequence[Question], candidates: Sequence[Candidates], items: int, k: int
) -> list[np.ndarray]:
    """For every question, the candidates that are most like the user's last items: int64 [k] each.

    Two items are alike by the cosine of their sets of users. Newer items of the history have a higher weight.

    items: how many items the catalog has.
    """
    train = split.train
    taken = sp.csr_matrix((np.ones(len(train)), (train.items_E, train.user_E)), shape=(items, len(train.users)))
    taken.data[:] = 1  # a user who took an item twice counts once
    norms_N = np.sqrt(np.asarray(taken.sum(1)).ravel())
    scaled = sp.diags(1 / np.maximum(norms_N, 1)) @ taken
    by_user = scaled.T.tocsr()
    rankings = []
    for question, own in zip(questions, candidates, strict=True):
        last = split.full.items_E[max(question.start, question.stop - LAST_ITEMS) : question.stop][::-1]
        weights = sp.csr_matrix((DECAY ** np.arange(len(last)), (np.zeros(len(last), int), last)), shape=(1, items))
        score_N = np.asarray((weights @ scaled @ by_user).todense()).ravel()
        score_N[last] = 0  # every item is its own nearest neighbour, which says nothing
        rankings.append(own.best(score_N, k))
    return rankings


def bm25(
    documents: Sequence[str], questions: Sequence[Question], candidates: Sequence[Candidates], k: int
) -> list[np.ndarray]:
    """For every question, the candidates whose documents match the query best by BM25: int64 [k or fewer] each.

    A candidate without any of the query's words is no answer, so a ranking may be shorter than k, or empty.

    documents: one text for each item.
    """
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize([clean_text(d) for d in documents], show_progress=False), show_progress=False)
    queries = bm25s.tokenize([clean_text(q.query or "") for q in questions], return_ids=False, show_progress=False)
    rankings = []
    for tokens, own in zip(queries, candidates, strict=True):
        score_N = retriever.get_scores(tokens) if tokens else np.zeros(len(documents))
        best = own.best(score_N, k)
        rankings.append(best[score_N[best] > 0])
    return rankings


def documents_with_queries(items: Items, train: Histories) -> list[str]:
    """Every item's text with the training queries that led to it, because a trained model knows these too."""
    queries_of: dict[int, Counter[str]] = {}
    for item, query in zip(train.items_E.tolist(), train.queries_E.tolist(), strict=True):
        if query != NO_QUERY:
            queries_of.setdefault(item, Counter())[train.texts[query]] += 1
    return [
        " ".join([text, *(q for q, n in queries_of.get(row, Counter()).items() for _ in range(n))])
        for row, text in enumerate(items.texts())
    ]
