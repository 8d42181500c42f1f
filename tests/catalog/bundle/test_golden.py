"""What golden questions hold, and how an answer is judged. `tests/trainer/runtime/test_publish.py` asks real models."""

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
    return GoldenQueries.ask(Scripted(), Scripted(rounding), PROMPTS, ITEMS)


GOLDEN = ask()


def answer(question):
    ((leaves, scores),) = Scripted().rank([question.tokens], GOLDEN.width)
    return leaves.tolist(), scores.tolist()


def test_both_tasks_are_asked_with_and_without_a_history():
    kinds = {(question.query is None, bool(question.history)) for question in GOLDEN.questions}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
    assert any(len(question.history) > PROMPTS.max_history for question in GOLDEN.questions)
    assert len({question.tokens for question in GOLDEN.questions}) == len(GOLDEN.questions) == 8


def test_a_question_is_what_a_server_renders_and_its_answer_what_was_ranked():
    exact = Scripted()
    golden = GoldenQueries.ask(exact, Scripted(), PROMPTS, ITEMS)
    for question, prompt in zip(golden.questions, exact.asked, strict=True):
        history = [Interaction(NAMES.index(item_id), query) for item_id, query in question.history]
        assert list(question.tokens) == prompt == PROMPTS.render(history, question.query)
        leaves, scores = answer(question)
        assert list(question.leaves) == leaves[:10]
        assert question.scores == pytest.approx(scores[:10])
        assert list(question.ids) == [NAMES[leaf] for leaf in leaves[:10]]
        assert golden.check_prompt(question, PROMPTS, ITEMS) is None
        assert golden.check(question, leaves, scores) is None


def test_they_survive_saving(tmp_path):
    GOLDEN.save(tmp_path / "golden.json")
    assert GoldenQueries.open(tmp_path / "golden.json") == GOLDEN


@pytest.mark.parametrize("content", ["{", "[]", '{"width": 50}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "golden.json").write_text(content)
    with pytest.raises(BundleError, match=r"golden\.json.*publish the bundle again"):
        GoldenQueries.open(tmp_path / "golden.json")


def test_the_tolerance_follows_the_rounding_of_the_model():
    assert ask(0.0).tolerance == 0.02
    assert ask(0.03).tolerance == pytest.approx(0.15, rel=1e-3)


def test_near_ties_may_change_places():
    question = GOLDEN.questions[0]
    leaves, scores = answer(question)
    assert GOLDEN.check(question, leaves[::-1], scores[::-1]) is None


def test_a_few_best_items_may_be_lost_and_no_more():
    question = GOLDEN.questions[0]
    leaves, scores = answer(question)
    assert GOLDEN.check(question, leaves[5:], scores[5:]) is None
    assert "only 4 of the 10" in (GOLDEN.check(question, leaves[6:], scores[6:]) or "")
    assert "only 0 of the 10" in (GOLDEN.check(question, [], []) or "")


@pytest.mark.parametrize("wrong", [0.06, -0.06, float("nan"), float("inf")])
def test_scores_beyond_rounding_are_refused(wrong):
    question = GOLDEN.questions[0]
    leaves, scores = answer(question)
    assert GOLDEN.check(question, leaves, [score + 0.8 * GOLDEN.tolerance for score in scores]) is None
    assert "off" in (GOLDEN.check(question, leaves, [score + wrong for score in scores]) or "")


def test_a_single_score_far_off_is_forgiven():
    question = GOLDEN.questions[0]
    leaves, scores = answer(question)
    assert GOLDEN.check(question, leaves, [scores[0] - 9, *scores[1:]]) is None


def test_items_in_another_order_or_of_another_catalog_are_noticed():
    rolled = Items(ITEMS.table.take(np.roll(np.arange(len(NAMES)), 1)))
    fewer = Items(ITEMS.table.slice(1))
    for question in GOLDEN.questions:
        said = "other tokens" if question.history else "other leaves"
        assert said in (GOLDEN.check_prompt(question, PROMPTS, rolled) or "")
    assert any("not in the catalog" in (GOLDEN.check_prompt(q, PROMPTS, fewer) or "") for q in GOLDEN.questions)


def test_a_catalog_of_one_item_has_questions_too():
    one = Items(ITEMS.table.slice(0, 1))

    class Only:
        def rank(self, prompts, width):
            return [(np.array([0]), np.array([-0.5], np.float32))] * len(prompts)

    golden = GoldenQueries.ask(Only(), Only(), PROMPTS, one)
    assert all(golden.check_prompt(question, PROMPTS, one) is None for question in golden.questions)
    assert all(golden.check(question, [0], [-0.5]) is None for question in golden.questions)
