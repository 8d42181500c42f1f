"""What golden queries hold, and how an answer is judged. `tests/trainer/runtime/test_publish.py` asks real models."""

import json

import numpy as np
import pytest

from catalog.bundle.golden import GoldenQueries
from catalog.data.items import Items
from catalog.errors import BundleError
from catalog.text.prompts import Interaction
from tests.support.small_shop import NAMES, make_items, make_prompts

ITEMS, PROMPTS = make_items(), make_prompts()


class Scripted:
    """Ranks item i of n after the sum of the prompt's tokens, `shift` off."""

    def __init__(self, shift=0.0):
        self.shift = shift
        self.asked = []

    def rank(self, prompts, width):
        self.asked += [list(prompt) for prompt in prompts]
        leaves = [np.roll(np.arange(len(NAMES)), sum(prompt))[:width] for prompt in prompts]
        scores = -1 - 0.1 * np.arange(len(NAMES), dtype=np.float32)
        return [(found, scores[: len(found)] - self.shift) for found in leaves]


def ask(rounding=0.01):
    return GoldenQueries.make(Scripted(), Scripted(rounding), PROMPTS, ITEMS)


GOLDEN = ask()


def answer(golden_query):
    ((leaves, scores),) = Scripted().rank([golden_query.tokens], GOLDEN.width)
    return leaves.tolist(), scores.tolist()


def test_both_tasks_are_asked_with_and_without_a_history():
    kinds = {(golden_query.query is None, bool(golden_query.history)) for golden_query in GOLDEN.queries}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
    assert any(len(golden_query.history) > PROMPTS.max_history for golden_query in GOLDEN.queries)
    assert len({golden_query.tokens for golden_query in GOLDEN.queries}) == len(GOLDEN.queries) == 8


def test_a_question_is_what_a_server_renders_and_its_answer_what_was_ranked():
    exact = Scripted()
    golden = GoldenQueries.make(exact, Scripted(), PROMPTS, ITEMS)
    for golden_query, prompt in zip(golden.queries, exact.asked, strict=True):
        history = [Interaction(NAMES.index(item_id), query) for item_id, query in golden_query.history]
        assert list(golden_query.tokens) == prompt == PROMPTS.render(history, golden_query.query)
        leaves, scores = answer(golden_query)
        assert list(golden_query.leaves) == leaves[:10]
        assert golden_query.scores == pytest.approx(scores[:10])
        assert list(golden_query.ids) == [NAMES[leaf] for leaf in leaves[:10]]
        assert golden.check_prompt(golden_query, PROMPTS, ITEMS) is None
        assert golden.check(golden_query, leaves, scores) is None


def test_they_survive_saving(tmp_path):
    GOLDEN.save(tmp_path / "golden.json")
    assert GoldenQueries.open(tmp_path / "golden.json") == GOLDEN
    keys = json.loads((tmp_path / "golden.json").read_text()).keys()
    assert set(keys) == {"width", "normalize", "tolerance", "questions"}


@pytest.mark.parametrize("content", ["{", "[]", '{"width": 50}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "golden.json").write_text(content)
    with pytest.raises(BundleError, match=r"golden\.json.*publish the bundle again"):
        GoldenQueries.open(tmp_path / "golden.json")


def test_the_tolerance_follows_the_rounding_of_the_model():
    assert ask(0.0).tolerance == 0.02
    assert ask(0.03).tolerance == pytest.approx(0.15, rel=1e-3)


def test_near_ties_may_change_places():
    golden_query = GOLDEN.queries[0]
    leaves, scores = answer(golden_query)
    assert GOLDEN.check(golden_query, leaves[::-1], scores[::-1]) is None


def test_a_few_best_items_may_be_lost_and_no_more():
    golden_query = GOLDEN.queries[0]
    leaves, scores = answer(golden_query)
    assert GOLDEN.check(golden_query, leaves[5:], scores[5:]) is None
    assert "only 4 of the 10" in (GOLDEN.check(golden_query, leaves[6:], scores[6:]) or "")
    assert "only 0 of the 10" in (GOLDEN.check(golden_query, [], []) or "")


@pytest.mark.parametrize("wrong", [0.06, -0.06, float("nan"), float("inf")])
def test_scores_beyond_rounding_are_refused(wrong):
    golden_query = GOLDEN.queries[0]
    leaves, scores = answer(golden_query)
    assert GOLDEN.check(golden_query, leaves, [score + 0.8 * GOLDEN.tolerance for score in scores]) is None
    assert "off" in (GOLDEN.check(golden_query, leaves, [score + wrong for score in scores]) or "")


def test_a_single_score_far_off_is_forgiven():
    golden_query = GOLDEN.queries[0]
    leaves, scores = answer(golden_query)
    assert GOLDEN.check(golden_query, leaves, [scores[0] - 9, *scores[1:]]) is None


def test_items_in_another_order_or_of_another_catalog_are_noticed():
    rolled = Items(ITEMS.table.take(np.roll(np.arange(len(NAMES)), 1)))
    fewer = Items(ITEMS.table.slice(1))
    for golden_query in GOLDEN.queries:
        said = "other tokens" if golden_query.history else "other leaves"
        assert said in (GOLDEN.check_prompt(golden_query, PROMPTS, rolled) or "")
    assert any("not in the catalog" in (GOLDEN.check_prompt(q, PROMPTS, fewer) or "") for q in GOLDEN.queries)


def test_a_catalog_of_one_item_has_golden_queries_too():
    one = Items(ITEMS.table.slice(0, 1))

    class Only:
        def rank(self, prompts, width):
            return [(np.array([0]), np.array([-0.5], np.float32))] * len(prompts)

    golden = GoldenQueries.make(Only(), Only(), PROMPTS, one)
    assert all(golden.check_prompt(golden_query, PROMPTS, one) is None for golden_query in golden.queries)
    assert all(golden.check(golden_query, [0], [-0.5]) is None for golden_query in golden.queries)
