import json
import shutil
import statistics

import pytest

from tests.support import world
from tests.support.forked_workers import forked_workers
from trainer.analysis.ablation.__main__ import ROWS, main
from trainer.analysis.ablation.table import across_seeds, markdown, summarize_row
from trainer.config.recipe import load_recipe


def compare(files, base, corpus, out, *options):
    with forked_workers():
        return main(
            [
                *("--items", str(files[0]), "--events", str(files[1]), "--out", str(out), "--recipe", "small"),
                *("--base", str(base), "--held-out", str(corpus), "--rates", "0.001"),
                *options,
                *world.TINY,
            ]
        )


@pytest.fixture(scope="module")
def finished(files, base, corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    figures, image = out / "table.json", out / "table.png"
    options = ["--rows", "gems,lora_moe", "--seeds", "0,1", "--json", str(figures), "--picture", str(image)]
    assert compare(files, base, corpus, out, *options) == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    return out, options


def test_every_row_is_another_valid_recipe():
    recipes = [load_recipe("comparison", settings).model_dump_json() for settings in ROWS.values()]
    assert len(set(recipes)) == len(ROWS)


def test_rows_that_are_the_same_runs_are_refused(files, tmp_path, capsys):
    options = ["--items", str(files[0]), "--events", str(files[1]), "--out", str(tmp_path), "--recipe", "small"]
    assert main([*options, "--rows", "gems,full,no_null_space"]) == 2
    assert "with recipe small the rows gems and no_null_space are the same: leave one out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.large
def test_the_table_says_what_the_runs_reported(finished):
    table = json.loads((finished[0] / "table.json").read_text())
    assert list(table["rows"]) == ["gems", "lora_moe"]
    for row, own in table["rows"].items():
        runs = [one for one in table["runs"] if one["row"] == row]
        assert own["seeds"] == [0, 1] == [one["seed"] for one in runs]
        for task, metrics in own["tasks"].items():
            for metric, estimate in metrics.items():
                values = [one["tasks"][task]["model"][metric] for one in runs]
                assert estimate["value"] == pytest.approx(statistics.mean(values))
    kept = [one["retention"]["after"]["perplexity"]["value"] for one in table["runs"] if one["row"] == "gems"]
    assert table["rows"]["gems"]["retention"]["perplexity"] == pytest.approx(statistics.mean(kept))
    assert table["rows"]["lora_moe"]["retention"] is None
    assert table["base"]["perplexity"]["value"] > 1
    assert set(table["baselines"]) == {
        "popularity",
        "item_knn",
        "ease",
        "transitions",
        "clicks",
        "bm25",
        "bm25_with_queries",
    }
    assert all(one["peak_bytes"] > 50 * 2**20 and one["seconds"] > 0 for one in table["runs"])
    lines = table["markdown"].splitlines()
    assert len(lines) == 2 + 2 + 1 + 7
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.slow
@pytest.mark.large
def test_an_interrupted_table_makes_only_what_is_missing(finished, files, base, corpus, capsys):
    out, options = finished
    before = json.loads((out / "table.json").read_text())
    shutil.rmtree(out / "gems" / "seed-1-rate-0.001")
    assert compare(files, base, corpus, out, *options) == 0
    after = json.loads((out / "table.json").read_text())
    for one, other in zip(before["runs"], after["runs"], strict=True):
        if (one["row"], one["seed"]) == ("gems", 1):
            assert other["fingerprint"] == one["fingerprint"]
            assert other["seconds"] != one["seconds"], "it was made again"
        else:
            assert other == one
    assert after["markdown"] in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.large
def test_runs_of_other_settings_are_not_mixed_in(finished, files, base, corpus, capsys):
    out, _ = finished
    assert compare(files, base, corpus, out, "--rows", "gems", "--seeds", "0", "gems.gate_lr=0.1") == 2
    assert "gems/seed-0-rate-0.001/run.json is of other settings or files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [(["gems.gaet=fixed"], "gems.gaet is no setting"), (["--items", "none.parquet"], "none.parquet does not exist")],
)
def test_what_cannot_be_compared_is_explained_before_any_run(files, base, corpus, tmp_path, options, message, capsys):
    assert compare(files, base, corpus, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_seeds_do_not_make_the_questions_more():
    """Two equal runs are as sure as one of them; runs that differ are less sure than that."""
    report = {"recall@10": 0.2, "intervals": {"recall@10": [0.1, 0.3]}}
    one, two = across_seeds([report], "recall@10"), across_seeds([report, report], "recall@10")
    assert two == one | {"by_seed": [0.2, 0.2]}
    assert (one["low"], one["high"]) == pytest.approx((0.1, 0.3))
    wider = across_seeds([report, report | {"recall@10": 0.3}], "recall@10")
    assert wider["high"] - wider["low"] > 0.2


def row_of(search, recommendation, *, few):
    def report(value, **more):
        return {"recall@10": value, "ndcg@10": value, "intervals": {"recall@10": [0, 1], "ndcg@10": [0, 1]}, **more}

    flag = {"few": True} if few else {}
    kinds = {"known_item": report(search, few=True), "new_item": report(search, **flag)}
    tasks = {"search": {"model": report(search, **flag, **kinds)}, "recommendation": {"model": report(recommendation)}}
    return summarize_row([{"seed": 0, "seconds": 1, "peak_bytes": 1, "retention": None, "tasks": tasks}])


@pytest.mark.parametrize("few", [True, False])
def test_the_best_is_bold_but_never_of_few_questions(few):
    rows = {"gems": row_of(0.2, 0.1, few=few), "full": row_of(0.1, 0.2, few=few)}
    title, _, gems, full = markdown({"rows": rows, "base": None, "baselines": {}}).splitlines()
    columns = [column.strip() for column in title.split("|")]
    bold = [[columns[i] for i, cell in enumerate(line.split("|")) if "**" in cell] for line in (gems, full)]
    searched = [] if few else ["search recall@10", "search ndcg@10", "search new item recall@10"]
    assert bold == [searched, ["recommendation recall@10", "recommendation ndcg@10"]]
    assert gems.count("few") == (4 if few else 1)
