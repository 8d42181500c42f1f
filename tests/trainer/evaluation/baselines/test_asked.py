"""Ranks of answers from sparse and dense scores against sorting."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.baselines import asked as asked_module
from trainer.evaluation.baselines.asked import Asked, answer_ranks
from trainer.evaluation.candidates import Candidates
from trainer.evaluation.metrics import NOT_FOUND

ITEMS = 6
rows = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=ITEMS, max_size=ITEMS)


@st.composite
def questions(draw):
    answer = draw(st.integers(0, ITEMS - 1))
    excluded = draw(st.sets(st.integers(0, ITEMS - 1))) - {answer}
    return draw(rows), answer, sorted(excluded)


def asked_of(drawn):
    excluded = [Candidates(np.array(left_out, dtype=np.int64)) for _, _, left_out in drawn]
    answers = np.array([answer for _, answer, _ in drawn])
    return Asked([np.empty(0, np.int64)] * len(drawn), [""] * len(drawn), answers, excluded)


@given(st.lists(questions(), min_size=1, max_size=5))
def test_ranks_are_those_of_sorting(drawn):
    score_QN = np.array([score for score, _, _ in drawn])
    expected = []
    for score, answer, excluded in drawn:
        order = sorted(set(range(ITEMS)) - set(excluded), key=lambda item: (-score[item], item))
        expected.append(order.index(answer) + 1 if score[answer] > 0 else NOT_FOUND)
    assert answer_ranks(score_QN, asked_of(drawn)).tolist() == expected
    assert answer_ranks(sp.csr_matrix(score_QN), asked_of(drawn)).tolist() == expected


def test_blocks_hold_every_question_once(monkeypatch):
    monkeypatch.setattr(asked_module, "BLOCK_SCORES", 2 * ITEMS)
    whole = asked_of([([0.0] * ITEMS, answer, []) for answer in range(5)])
    blocks = list(whole.blocks(ITEMS))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert np.concatenate([block.answers_Q for block in blocks]).tolist() == [0, 1, 2, 3, 4]
