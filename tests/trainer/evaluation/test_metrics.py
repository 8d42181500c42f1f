import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG

from trainer.evaluation.metrics import (
    CUTOFFS,
    KINDS,
    MIN_QUESTIONS,
    gains,
    ranks_of,
    summarize,
    summarize_kinds,
)

THEIRS = {"hit": Success, "recall": R, "ndcg": nDCG, "mrr": RR, "map": AP}


@pytest.mark.parametrize("metric", THEIRS)
@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_metrics_agree_with_ir_measures(metric, cutoff):
    generator = np.random.default_rng(cutoff)
    rankings = [generator.permutation(40)[:25] for _ in range(200)]
    answers = generator.integers(0, 40, 200)
    qrels = [ir_measures.Qrel(str(q), str(answer), 1) for q, answer in enumerate(answers)]
    run = [
        ir_measures.ScoredDoc(str(q), str(item), float(-place))
        for q, ranking in enumerate(rankings)
        for place, item in enumerate(ranking)
    ]
    measure = THEIRS[metric] @ cutoff
    expected = ir_measures.calc_aggregate([measure], qrels, run)[measure]
    assert gains(ranks_of(rankings, answers), metric, cutoff).mean() == pytest.approx(expected, abs=1e-9)


def test_the_interval_holds_the_mean_and_narrows_with_more_questions():
    generator = np.random.default_rng(0)
    few, many = (summarize(generator.integers(0, 15, n), bootstrap=500) for n in (50, 5000))
    for summary in (few, many):
        low, high = summary["intervals"]["recall@10"]
        assert low <= summary["recall@10"] <= high
    width = [np.diff(s["intervals"]["recall@10"])[0] for s in (few, many)]
    assert width[1] < width[0] / 5


def test_an_unknown_metric_is_an_error():
    with pytest.raises(ValueError, match="precision"):
        gains(np.array([1]), "precision", 5)


def test_few_questions_are_flagged_and_enough_are_not():
    few, enough = (summarize(np.ones(n, dtype=np.int64), bootstrap=10) for n in (MIN_QUESTIONS - 1, MIN_QUESTIONS))
    assert few["few"] is True
    assert "few" not in enough


def test_known_and_new_items_are_told_apart():
    generator = np.random.default_rng(0)
    rank_Q, known_Q = generator.integers(0, 15, 300), generator.random(300) < 0.3
    summary = summarize_kinds(rank_Q, known_Q, bootstrap=10)
    whole = {name: value for name, value in summary.items() if name not in KINDS}
    assert whole == summarize(rank_Q, bootstrap=10)
    assert summary["known_item"] == summarize(rank_Q[known_Q], bootstrap=10)
    assert summary["new_item"] == summarize(rank_Q[~known_Q], bootstrap=10)
    assert summary["known_item"]["few"]
    assert "known_item" not in summarize_kinds(rank_Q, np.zeros(300, dtype=bool), bootstrap=10)
