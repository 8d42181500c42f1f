"""The command on real bundles of the tiny shop: a decoder-only one and a T5."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.events import read_events, write_events
from catalog.search.transformers import TransformersRanker
from tests.support import world
from trainer.data.histories import Histories
from trainer.data.splits import leave_one_out
from trainer.evaluation.__main__ import main
from trainer.evaluation.bundle import load_model
from trainer.evaluation.candidates import sampled_candidates
from trainer.evaluation.metrics import gains


@pytest.fixture(scope="module")
def files(trained):
    return trained.files()


@pytest.fixture(scope="module", params=[None, "t5"], ids=["qwen2", "t5"])
def bundle(request, trained):
    return trained.bundle("method=full", "evaluation.width=30", base=request.param)


def evaluate(tmp_path, bundle, events, *options):
    out = tmp_path / "report.json"
    status = main(["--bundle", str(bundle.path), "--events", str(events), "--json", str(out), *options])
    assert status == 0
    return json.loads(out.read_text())


def test_the_full_protocol_repeats_the_report_of_the_training_run(bundle, files, tmp_path, capsys):
    report = evaluate(tmp_path, bundle, files[1])
    first = json.loads((bundle.path / "report.json").read_text())
    training = first.pop("training")
    assert training["steps"] == bundle.manifest.settings["training"]["steps"]
    assert training["tokens"] > training["steps"]
    assert training["tokens_per_second"] > 0
    assert {name: report[name] for name in first} == first
    assert report["events"] == {"read": 240, "unknown_items": 0, "trained_on": True}
    shown = capsys.readouterr().out
    assert "leave_one_out/full: among 30 items, beam width 30" in shown
    for method in ("model", "popularity", "item_knn", "ease", "transitions", "clicks", "bm25", "bm25_with_queries"):
        assert method in shown


def test_the_candidates_protocol_is_the_full_ranking_restricted(bundle, files, tmp_path, capsys):
    """Scores do not depend on what is allowed, so an exhaustive search of everything tells the candidates' order."""
    report = evaluate(tmp_path, bundle, files[1], "--protocol", "candidates", "--seed", "5")
    split = leave_one_out(Histories.from_events(read_events(files[1])[0], bundle.items))
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens)
    for task in ("search", "recommendation"):
        questions = [q for q in split.test if q.task == task]
        candidates = sampled_candidates(split.full, questions, bundle.items, seed=5)
        ranks = []
        for question, own in zip(questions, candidates, strict=True):
            history = split.full.interactions(range(question.start, question.stop))
            leaves, _ = ranker.rank([bundle.prompts.render(history, question.query)], 30)[0]
            ranks.append([leaf for leaf in leaves if leaf in own.allowed].index(question.item) + 1)
        figures = report["tasks"][task]["model"]
        assert figures["questions"] == len(questions)
        for metric in ("hit", "recall", "ndcg", "mrr", "map"):
            for cutoff in (5, 10, 20):
                expected = gains(np.array(ranks), metric, cutoff).mean()
                assert figures[f"{metric}@{cutoff}"] == pytest.approx(expected, abs=1e-6)
    assert report["protocol"] == "leave_one_out/candidates"
    assert report["candidates"]["negatives"] == 99
    assert report["candidates"]["seed"] == 5
    assert report["beam_width"] == 100
    assert "99 drawn uniformly" in capsys.readouterr().out


def test_split_and_width_can_be_chosen(bundle, files, tmp_path):
    report = evaluate(tmp_path, bundle, files[1], "--split", "time_cut", "--width", "20")
    assert (report["protocol"], report["beam_width"]) == ("time_cut/full", 20)


def test_events_of_items_the_bundle_lacks_are_left_out_and_reported(bundle, tmp_path, capsys):
    table = world.event_table(10)
    strange = [f"gone-{i}" if i % 6 == 0 else item for i, item in enumerate(table["item_id"].to_pylist())]
    write_events(table.set_column(1, "item_id", pa.array(strange)), tmp_path / "events.parquet")
    report = evaluate(tmp_path, bundle, tmp_path / "events.parquet")
    assert report["events"] == {"read": 60, "unknown_items": 10, "trained_on": False}
    shown = capsys.readouterr().out
    assert "unknown item" in shown
    assert "gone-0" in shown
    assert "not the file the bundle was trained on" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--width", "3"], "--width 3: .*greater than or equal to 20"),
        (["--events", "nowhere.parquet"], r"nowhere\.parquet does not exist"),
        (["--bundle", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_explained(options, message, bundle, files, capsys):
    status = main(["--bundle", str(bundle.path), "--events", str(files[1]), *options])
    assert status == 2
    assert re.search(message, capsys.readouterr().err)


def test_events_without_any_question_are_explained(bundle, tmp_path, capsys):
    write_events(world.event_table(3).slice(0, 2), tmp_path / "few.parquet")
    assert main(["--bundle", str(bundle.path), "--events", str(tmp_path / "few.parquet")]) == 2
    assert "holds out no question" in capsys.readouterr().err


def test_a_damaged_bundle_is_refused(bundle, files, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    (copy / "model/config.json").write_text("{}")
    assert main(["--bundle", str(copy), "--events", str(files[1])]) == 2
    assert "config.json does not match" in capsys.readouterr().err
