"""What did most for an item of a recommendation: the source without which it would fall furthest."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catalog.priors.priors import FEATURES
from catalog.priors.weights import PriorWeights
from catalog.text.prompts import Interaction
from server.query.reasons import Past, _falls, _rivals, _Strongest
from server.query.types import Query
from server.retrieval.priors.guided_by import GuidedBy
from server.storage.protocol import EMPTY

ITEMS = 1_000
COLUMN = {name: place for place, name in enumerate(FEATURES)}
Said = Mapping[int, Mapping[str, float]]


def guided(said: Said, model: float = 1.0) -> GuidedBy:
    """What sources say of leaves, each with a weight of 1."""
    item_C = np.array(sorted(said), np.int64)
    value_CF = np.zeros((len(item_C), len(FEATURES)))
    for row, leaf in enumerate(item_C.tolist()):
        for name, value in said[leaf].items():
            value_CF[row, COLUMN[name]] = value

    def features(leaves: Sequence[int]) -> np.ndarray:
        own = np.zeros((len(leaves), len(FEATURES)))
        for row, leaf in enumerate(leaves):
            own[row] = value_CF[list(item_C).index(leaf)] if leaf in said else 0
        return own

    weights = PriorWeights(model, np.ones(len(FEATURES)))
    of_items = SimpleNamespace(item_C=item_C, value_CF=value_CF.astype(np.float32))
    made = SimpleNamespace(weights=weights, said=of_items, features=features, serial_N=np.arange(ITEMS), words=())
    return cast(GuidedBy, made)


def query(**fields: object) -> Query:
    usual = {"text": None, "candidates": None}
    return cast(Query, SimpleNamespace(**(usual | fields)))


def strongest(said: Said, logp: Mapping[int, float], past: Sequence[int] = (), **fields: object) -> _Strongest:
    """Of an answer with these items, by the model's log-probability of each."""
    by = guided(said)
    score_of = {leaf: own + sum(said.get(leaf, {}).values()) for leaf, own in logp.items()}
    leaves = sorted(score_of, key=lambda leaf: -score_of[leaf])
    interactions = [Interaction(leaf, None) for leaf in past]
    rivals = _rivals(query(**fields), by, leaves, Past(interactions, interactions, EMPTY, past))
    return _Strongest(by, leaves, [score_of[leaf] for leaf in leaves], rivals)


def test_a_source_that_brought_an_item_to_the_front_did_most_though_the_model_finds_all_of_them_likely() -> None:
    """The model's share above chance is 4.9 and 5.9, that of what followed 1.5; without this the first is second."""
    said, logp = {3: {"transitions": 1.5}}, {3: -2.0, 4: -1.0}
    assert strongest(said, logp).sources == ["transitions", "model"]
    assert strongest(said, logp, text="tent").sources == ["model", "model"], "a search is measured against chance"


def test_the_model_did_most_where_sources_would_have_others() -> None:
    said = {leaf: {"ease": 1.0 + leaf / 100} for leaf in range(20)}
    assert strongest(said, {3: -0.5, 50: -1.0}).sources == ["model", "model"]


def test_of_sources_that_all_change_nothing_the_greatest_share_did_most() -> None:
    assert strongest({}, {3: -0.5}).sources == ["model"]
    assert strongest({3: {"ease": 9.0}}, {3: -6.5}).sources == ["neighbours"], "the model's share is 0.4"


@pytest.mark.parametrize("fields", [{"candidates": ["item-3"]}, {"past": list(range(20, 40))}])
def test_what_could_not_be_in_the_answer_is_no_rival(fields: dict[str, object]) -> None:
    """Items that sources list before this one: the model did nothing about those that nobody wants."""
    said: Said = {3: {"ease": 7.0}, **{leaf: {"ease": 7.5} for leaf in range(20, 40)}}
    assert strongest(said, {3: -4.0}, **fields).sources == ["neighbours"]  # type: ignore[arg-type]
    assert strongest(said, {3: -4.0}).sources == ["model"]


def test_of_a_source_the_feature_is_told_that_others_do_not_have() -> None:
    """All are of the next kind; only one was taken next."""
    said: Said = {leaf: {"next_category": 2.0} for leaf in range(20, 40)}
    one = strongest({**said, 3: {"next_category": 2.0, "transitions": 1.0}}, {3: -5.0, 4: -2.5})
    assert (one.sources[0], one.features[0]) == ("transitions", "transitions")


shares = arrays(np.float64, st.tuples(st.just(4), st.integers(1, 12)), elements=st.integers(-3, 3).map(float))


@given(share_SK=shares, share_SR=shares)
def test_falls_are_those_of_sorting_anew(share_SK: np.ndarray, share_SR: np.ndarray) -> None:
    share_SC = np.concatenate([share_SK, share_SR], 1)
    for source in range(len(share_SC)):
        for place in range(share_SK.shape[1]):
            before = sum(score > share_SC[:, place].sum() for score in share_SC.sum(0))
            without = np.delete(share_SC, source, 0)
            after = sum(score > without[:, place].sum() for score in without.sum(0))
            assert _falls(share_SK, share_SR)[source, place] == after - before
