"""The baselines against the same written out with sets and dictionaries."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.support import world
from trainer.data.histories import Histories, leave_one_out
from trainer.evaluation.baselines import bm25, item_knn, popularity
from trainer.evaluation.candidates import Candidates, sampled_candidates, whole_catalog

K = 20


@pytest.fixture(scope="module")
def split():
    return leave_one_out(Histories.from_events(world.event_table(60, seed=3), world.items()))


def asked(split, task, protocol):
    questions = [q for q in split.test if q.task == task]
    if protocol == "full":
        return questions, whole_catalog(split.full, questions, exclude_seen=True)
    return questions, sampled_candidates(split.full, questions, world.items(), seed=0)


def among(own: Candidates, items=30):
    leaves = range(items) if own.allowed is None else own.allowed.tolist()
    return [leaf for leaf in leaves if leaf not in own.excluded]


@pytest.mark.parametrize("protocol", ["full", "candidates"])
def test_popularity_counts_training_events(split, protocol):
    _, candidates = asked(split, "recommendation", protocol)
    taken = Counter(split.train.items_E.tolist())
    for own, ranking in zip(candidates, popularity(split, candidates, 30, K), strict=True):
        assert ranking.tolist() == sorted(among(own), key=lambda leaf: (-taken[leaf], leaf))[:K]


@pytest.mark.parametrize("protocol", ["full", "candidates"])
def test_item_knn_adds_the_cosines_of_the_last_five_items_the_newest_first(split, protocol):
    questions, candidates = asked(split, "recommendation", protocol)
    takers = defaultdict(set)
    for user, item in zip(split.train.user_E.tolist(), split.train.items_E.tolist(), strict=True):
        takers[item].add(user)

    def cosine(one, other):
        both = len(takers[one] & takers[other])
        return both / np.sqrt(len(takers[one]) * len(takers[other])) if both else 0.0

    found = item_knn(split, questions, candidates, 30, K)
    assert questions
    for question, own, ranking in zip(questions, candidates, found, strict=True):
        last = split.full.items_E[question.start : question.stop][-5:][::-1].tolist()
        score = {
            leaf: 0.0 if leaf in last else sum(0.7**age * cosine(item, leaf) for age, item in enumerate(last))
            for leaf in among(own)
        }
        best = sorted(score.values(), reverse=True)[:K]
        np.testing.assert_allclose([score[leaf] for leaf in ranking.tolist()], best, atol=1e-12)


@pytest.mark.parametrize("protocol", ["full", "candidates"])
def test_bm25_answers_with_candidates_that_hold_a_word_of_the_query(split, protocol):
    questions, candidates = asked(split, "search", protocol)
    texts = world.items().texts()
    for question, own, ranking in zip(questions, candidates, bm25(texts, questions, candidates, K), strict=True):
        assert ranking[0] == question.item, "its title is what was typed"
        words = set(question.query.split())
        assert set(ranking.tolist()) <= set(among(own))
        assert all(words & set(re.findall("[a-z]+", texts[leaf].lower())) for leaf in ranking.tolist())
