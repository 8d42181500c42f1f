"""The baselines of a split: what they are fitted and tuned on, and that every question gets a ranking."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items
from tests.support import world
from trainer.data.histories import Histories
from trainer.data.questions import Split
from trainer.data.splits import leave_one_out
from trainer.evaluation.baselines import TunedBaselines, training_events
from trainer.evaluation.candidates import sampled_candidates, whole_catalog

K = 20
NEIGHBOURS = {"popularity", "item_knn", "ease", "transitions"}
WORDS = {"clicks", "bm25", "bm25_with_queries"}


def split_of(table):
    return leave_one_out(Histories.from_events(table, world.items()))


@pytest.fixture(scope="module")
def split():
    return split_of(world.event_table(60, seed=3))


@pytest.fixture(scope="module")
def tuned(split):
    return TunedBaselines(world.items(), split, exclude_seen=True)


def asked(split, task, protocol="full"):
    questions = [q for q in split.test if q.task == task]
    if protocol == "full":
        return questions, whole_catalog(split.full, questions, exclude_seen=True)
    return questions, sampled_candidates(split.full, questions, world.items(), seed=0)


def reports(tuned):
    return {task: tuned.report(task) for task in ("search", "recommendation")}


@pytest.mark.parametrize("protocol", ["full", "candidates"])
@pytest.mark.parametrize("task", ["search", "recommendation"])
def test_every_baseline_ranks_candidates_only(split, tuned, task, protocol):
    questions, candidates = asked(split, task, protocol)
    found = tuned.rank(task, questions, candidates, K)
    assert set(found) == (NEIGHBOURS | WORDS if task == "search" else NEIGHBOURS)
    assert questions
    for name, rankings in found.items():
        for own, ranking in zip(candidates, rankings, strict=True):
            among = set(range(30) if own.allowed is None else own.allowed.tolist()) - set(own.excluded.tolist())
            assert set(ranking.tolist()) <= among
            assert len(set(ranking.tolist())) == len(ranking)
            assert name in WORDS or len(ranking) == min(K, len(among))


def test_words_find_what_is_typed_and_nothing_without_a_word_of_it(split, tuned):
    questions, candidates = asked(split, "search")
    texts = world.items().texts()
    for question, ranking in zip(questions, tuned.rank("search", questions, candidates, K)["bm25"], strict=True):
        assert ranking[0] == question.item, "its title is what was typed"
        assert all(
            set(question.query.split()) & set(re.findall("[a-z]+", texts[leaf].lower())) for leaf in ranking.tolist()
        )


def test_a_user_without_history_is_recommended_what_is_popular(split, tuned):
    questions = [replace(q, stop=q.start) for q in split.test if q.task == "recommendation"][:2]
    found = tuned.rank("recommendation", questions, whole_catalog(split.full, questions, exclude_seen=True), K)
    for name in NEIGHBOURS:
        np.testing.assert_array_equal(found[name], found["popularity"])


def test_reports_name_settings_and_validation_figures(split, tuned):
    for task, baselines in reports(tuned).items():
        assert set(baselines) == set(tuned.rank(task, *asked(split, task), K))
        for name, own in baselines.items():
            assert own["settings"] or name == "popularity"
            assert 0 <= own["validation"]["ndcg@10"] <= own["validation"]["recall@10"] <= 1
            assert own["validation"]["questions"] == len([q for q in split.validation if q.task == task])


def test_test_questions_and_held_out_events_change_nothing(split, tuned):
    """Every answer of the test is replaced by another item, in the questions and in the histories behind them."""
    asked_at = {q.stop for q in split.validation}
    poisoned = split.full.items_E.copy()
    for question in split.test:
        span = split.full.span(question.user)
        later = np.arange(max(question.stop, max(s for s in asked_at if s <= span.stop) + 1), span.stop)
        poisoned[later] = (poisoned[later] + 7) % 30
    full = replace(split.full, items_E=poisoned)
    test = tuple(replace(q, item=(q.item + 7) % 30, query=q.query and "poison") for q in split.test)
    other = TunedBaselines(world.items(), Split(full, split.train, split.validation, test), exclude_seen=True)
    assert reports(other) == reports(tuned)


def test_tuning_reads_the_validation_questions(split, tuned):
    """The counterpart of the test before: with other validation answers the figures are others."""
    other = tuple(replace(q, item=(q.item + 7) % 30) for q in split.validation)
    poisoned = TunedBaselines(world.items(), replace(split, validation=other), exclude_seen=True)
    assert reports(poisoned) != reports(tuned)


def test_they_are_the_same_every_time(split, tuned):
    again = TunedBaselines(world.items(), split, exclude_seen=True)
    assert reports(again) == reports(tuned)
    for task in ("search", "recommendation"):
        one, two = (baselines.rank(task, *asked(split, task), K) for baselines in (tuned, again))
        assert all(np.array_equal(*pair) for name in one for pair in zip(one[name], two[name], strict=True))


def test_events_without_any_query():
    table = world.event_table(60, seed=3)
    split = split_of(table.set_column(4, "query", pa.nulls(len(table), pa.string())))
    tuned = TunedBaselines(world.items(), split, exclude_seen=True)
    assert set(tuned.rank("recommendation", *asked(split, "recommendation"), K)) == NEIGHBOURS
    assert tuned.report("search")["clicks"]["validation"] == {"questions": 0}


def test_a_catalog_with_more_items_than_anybody_took(split):
    """Items without an event, whose rows stand behind all others."""
    items = Items(world.item_table().append_column("x", [[1] * 30]))
    few = split_of(world.event_table(60, seed=3).filter(np.arange(360) % 6 < 5))
    tuned = TunedBaselines(items, few, exclude_seen=True)
    questions, candidates = asked(few, "recommendation")
    assert all(len(ranking) for ranking in tuned.rank("recommendation", questions, candidates, K)["ease"])


def test_each_event_of_a_sample_counts_for_as_many_as_it_stands_for(split, monkeypatch):
    whole = training_events(split.train, 30)
    assert whole.weights is None
    monkeypatch.setattr("trainer.evaluation.baselines.tuned.MAX_COUNTED", len(split.train) // 3)
    some = training_events(split.train, 30)
    assert 0 < len(some.item_E) <= len(split.train) // 3
    assert some.weight_E.sum() == pytest.approx(len(split.train))
    assert (some.until, some.users) == (whole.until, whole.users)
    monkeypatch.setattr("trainer.evaluation.baselines.tuned.MAX_COUNTED", len(split.train))
    assert training_events(split.train, 30).weights is None
