import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG

from trainer.evaluation.metrics import CUTOFFS, gains, ranks_of, summarize

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
