"""Every row of the ablation table is compared at the learning rate that is best for it on validation questions."""

import json
import math

import pytest

from trainer.analysis.ablation import __main__ as ablation
from trainer.analysis.ablation.learning_rate import tune_rate
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError

BEST_AT = {"gems": 2e-3, "single_subspace": 1e-3, "full": 1.25e-4, "lora": 1.6e-2, "lora_moe": 3e-3}


def score(method, rate):
    return 0.5 - 0.1 * abs(math.log2(rate / BEST_AT[method]))


def report(value):
    return {"search": {"model": {"ndcg@10": value}}, "recommendation": {"model": {"ndcg@10": value / 2}}}


def test_the_best_rate_is_taken_and_the_grid_grows_beyond_its_edges():
    tried = {
        method: tune_rate(method, (1e-3, 2e-3, 4e-3), lambda rate, m=method: report(score(m, rate)))
        for method in BEST_AT
    }
    assert {method: tuning.rate for method, tuning in tried.items()} == pytest.approx(
        {"gems": 2e-3, "single_subspace": 1e-3, "full": 2.5e-4, "lora": 1.6e-2, "lora_moe": 4e-3}
    )
    assert sorted(tried["gems"].scores) == [1e-3, 2e-3, 4e-3]
    assert sorted(tried["full"].scores) == pytest.approx([2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3])
    assert tried["gems"].as_json()["scores"]["0.002"] == pytest.approx(0.375)


def test_a_split_without_validation_questions_is_explained():
    with pytest.raises(TrainerError, match="no validation question"):
        tune_rate("gems", (1e-3, 2e-3), lambda rate: {})


def test_a_task_with_few_questions_has_a_say_only_where_no_other_has_more():
    searches, recommendations = {1e-3: 0.2, 2e-3: 0.1, 4e-3: 0.1}, {1e-3: 0.01, 2e-3: 0.02, 4e-3: 0.01}

    def tasks_at(rate, few):
        return {
            "search": {"model": {"ndcg@10": searches[rate], "few": True}},
            "recommendation": {"model": {"ndcg@10": recommendations[rate]} | few},
        }

    assert tune_rate("gems", tuple(searches), lambda rate: tasks_at(rate, {})).rate == 2e-3
    searches |= {5e-4: 0.1, 2.5e-4: 0.1}
    recommendations |= {5e-4: 0.01, 2.5e-4: 0.01}
    assert tune_rate("gems", (1e-3, 2e-3, 4e-3), lambda rate: tasks_at(rate, {"few": True})).rate == 1e-3


def test_one_rate_is_taken_as_it_is():
    assert tune_rate("gems", (3e-3,), lambda rate: pytest.fail("nothing is to be trained")).rate == 3e-3


@pytest.mark.parametrize("method", BEST_AT)
def test_a_rate_reaches_every_optimiser_of_its_method(method):
    from trainer.analysis.ablation.learning_rate import RATES_OF_METHODS, rate_settings

    recipe = load_recipe("comparison", [f"method={method}", *rate_settings(method, 0.0123)])
    for name in RATES_OF_METHODS[method]:
        section, _, field = name.partition(".")
        assert getattr(getattr(recipe, section), field) == 0.0123


def test_rates_are_chosen_on_validation_and_compared_on_the_test(files, tmp_path, monkeypatch):
    runs = []

    def result_of(run):
        runs.append(run)
        method, asked = run.recipe.method, run.recipe.evaluation
        assert asked.alone, "baselines are measured once"
        rate = {"gems": run.recipe.gems.lr, "full": run.recipe.full.lr}[method]

        def tasks(value):
            figures = {"recall@10": value, "ndcg@10": value, "intervals": {"recall@10": [0, 1], "ndcg@10": [0, 1]}}
            return {"search": {"model": figures | {"few": True}}, "recommendation": {"model": figures}}

        return {
            "row": run.row,
            "seed": run.seed,
            "seconds": 1.0,
            "peak_bytes": 1,
            "retention": None,
            "tasks": tasks(0.9 if rate == 4e-3 else 0.1),  # the test questions would choose another rate
            "validation": tasks(score(method, rate)) if asked.questions == "both" else None,
        }

    monkeypatch.setattr(ablation, "result_of", result_of)
    out = tmp_path / "table.json"
    options = ["--items", str(files[0]), "--events", str(files[1]), "--out", str(tmp_path), "--json", str(out)]
    assert ablation.main([*options, "--rows", "gems,full", "--seeds", "5,6"]) == 0
    compared = runs[-4:]
    assert [(run.row, run.name) for run in compared] == [
        ("gems", "seed-5-rate-0.002"),
        ("full", "seed-5-rate-0.00025"),
        ("gems", "seed-6-rate-0.002"),
        ("full", "seed-6-rate-0.00025"),
    ]
    tuning = runs[:-4]
    assert {run.seed for run in tuning} == {5}
    assert all(run in tuning for run in compared if run.seed == 5), "what chose a rate is not trained again"
    assert [run.recipe.evaluation.questions for run in compared] == ["both", "both", "test", "test"]
    assert len({run.folder for run in runs}) == len(tuning) + 2
    table = json.loads(out.read_text())
    assert table["rows"]["gems"]["learning_rate"]["rate"] == 2e-3
    assert len(table["rows"]["full"]["learning_rate"]["scores"]) == 5
