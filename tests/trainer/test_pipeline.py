"""The whole run on a tiny shop: files in, bundle out."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle
from catalog.priors.priors import FEATURES
from catalog.search.transformers import TransformersRanker
from tests.support import world
from tests.support.paths import ROOT
from tests.support.processes import run as run_process
from trainer.analysis import gate
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.pipeline import run
from trainer.runtime import loop
from trainer.runtime.step_log import FILE_NAME, read_step_log


@pytest.fixture(scope="module")
def files(trained):
    return trained.files()


@pytest.fixture(scope="module")
def bundle(trained):
    return trained.bundle()


def weights(path):
    return AutoModelForCausalLM.from_pretrained(path / "model").state_dict()


def test_a_run_ends_in_a_current_bundle_that_answers(bundle):
    assert current_bundle(bundle.path.parent) == bundle.path
    assert bundle.manifest.method == "gems"
    assert bundle.manifest.engine == "vllm"
    ranker = TransformersRanker(
        AutoModelForCausalLM.from_pretrained(bundle.model_dir), bundle.index, bundle.level_tokens
    )
    leaves, scores = ranker.rank([bundle.prompts.render([], "red tent")], 30)[0]
    assert sorted(leaves) == list(range(30))
    assert (np.diff(scores) <= 0).all()
    assert not (bundle.path.parent / ".training").exists() or not list((bundle.path.parent / ".training").iterdir())


def test_a_bundle_keeps_what_events_teach_and_what_it_counts_for(bundle):
    report = json.loads((bundle.path / "report.json").read_text())
    for task, weights in bundle.prior_weights.items():
        assert weights.as_json() == report["guidance"][task]["weights"]
        assert bundle.calibrations[task].as_json() == {}, "so few questions calibrate nothing"
        assert report["calibration"][task] == {}
    found = bundle.priors.candidates("red tent", np.array([0]))
    assert found.value_CF[:, FEATURES.index("same_clicks")].max() == 1


OWN = ("model", "prior", "guided")


def test_the_report_has_both_tasks_beside_their_baselines(bundle):
    report = json.loads((bundle.path / "report.json").read_text())
    assert report["protocol"] == "leave_one_out/full"
    neighbours, words = {"popularity", "item_knn", "ease", "transitions"}, {"clicks", "bm25", "bm25_with_queries"}
    assert set(report["tasks"]["recommendation"]) == {*OWN, *neighbours}
    assert set(report["tasks"]["search"]) == {*OWN, *neighbours, *words}
    for task, methods in report["tasks"].items():
        assert {*OWN, *report["baselines"][task]} == set(methods)
        assert report["guidance"][task]["weights"]["model"] >= 0
    for methods in report["tasks"].values():
        for figures in methods.values():
            assert 0 <= figures["recall@10"] <= 1
            assert figures["intervals"]["ndcg@10"]
            assert figures["few"]
    for figures in report["tasks"]["search"].values():
        kinds = [figures[kind] for kind in ("known_item", "new_item") if kind in figures]
        assert sum(own["questions"] for own in kinds) == figures["questions"]
    assert "new_item" not in report["tasks"]["recommendation"]["model"]
    assert "Recall@10" in (bundle.path / "README.md").read_text()


def test_bm25_finds_titles_that_are_typed(bundle):
    report = json.loads((bundle.path / "report.json").read_text())
    assert report["tasks"]["search"]["bm25"]["recall@10"] == 1


def test_the_checkpoint_is_plain(bundle):
    assert not list(bundle.path.rglob("*.bin")) + list(bundle.path.rglob("*.pt")) + list(bundle.path.rglob("*.pkl"))
    names = set(weights(bundle.path))
    assert "model.layers.0.self_attn.q_proj.weight" in names
    assert not any("lora" in name or "adapter" in name for name in names)


def test_an_interrupted_run_resumes_to_the_same_weights(files, tmp_path, monkeypatch, bundle):
    step, recipe = loop._step, load_recipe("small", world.TINY)

    def failing(*args):
        if args[-1] == 5:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(loop, "_step", failing)
    with pytest.raises(KeyboardInterrupt):
        run(*files, tmp_path, recipe, resume=False)
    assert not (tmp_path / "current").exists()
    monkeypatch.setattr(loop, "_step", step)
    steps = []
    monkeypatch.setattr(loop, "_step", lambda *args: steps.append(args[-1]) or step(*args))
    published = run(*files, tmp_path, recipe, resume=True)
    assert steps == [4, 5]
    resumed, uninterrupted = weights(published), weights(bundle.path)
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in uninterrupted)
    assert read_step_log(published / FILE_NAME) == read_step_log(bundle.path / FILE_NAME)


def test_the_bundle_tells_losses_and_gates_of_every_step(bundle, tmp_path):
    record = read_step_log(bundle.path / FILE_NAME)
    assert [kept.step for kept in record] == list(range(6))
    assert all(set(kept.losses) == {"search", "recommendation"} for kept in record)
    assert all(sum(kept.figures.values()) == pytest.approx(1) for kept in record)
    assert gate.main(["--log", str(bundle.path), "--picture", str(tmp_path / "gate.png")]) == 0
    assert (tmp_path / "gate.png").stat().st_size > 1000


def test_a_loss_that_is_not_finite_stops_the_run_before_a_bundle(files, tmp_path):
    recipe = load_recipe("small", [*world.TINY, "gems.lr=1e30", "gems.adamw_lr=1e30", "training.steps=40"])
    with pytest.raises(TrainerError, match="not finite"):
        run(*files, tmp_path, recipe, resume=False)
    assert not (tmp_path / "current").exists()


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="gems"),
        pytest.param(("method=single_subspace",), id="single_subspace"),
        pytest.param(("method=full", "full.lr=0.01"), id="full"),
        pytest.param(("method=lora", "lora.lr=0.01"), id="lora"),
    ],
)
def test_training_learns_the_shop(trained, settings):
    assert_learned(trained.bundle(*world.LEARNING, *settings).path)


def test_a_mixture_learns_the_shop(files, tmp_path):
    settings = [*world.TINY, *world.LEARNING, "method=lora_moe", "lora_moe.lr=0.01"]
    assert_learned(run(*files, tmp_path, load_recipe("small", settings), resume=False))


def assert_learned(published):
    recommendation = report_of(published)["tasks"]["recommendation"]
    assert recommendation["model"]["recall@5"] > recommendation["popularity"]["recall@5"] + 0.2


def test_an_interrupted_lora_run_resumes_to_the_same_plain_checkpoint(trained, files, tmp_path, monkeypatch):
    settings = ("method=lora", "lora.dropout=0.1")
    recipe, whole = load_recipe("small", [*world.TINY, *settings]), weights(trained.bundle(*settings).path)
    step = loop._step
    monkeypatch.setattr(loop, "_step", lambda *args: step(*args) if args[-1] < 5 else interrupt())
    with pytest.raises(KeyboardInterrupt):
        run(*files, tmp_path / "parts", recipe, resume=False)
    monkeypatch.setattr(loop, "_step", step)
    resumed = run(*files, tmp_path / "parts", recipe, resume=True)
    assert not any("lora" in name for name in whole)
    assert all(torch.equal(weight, whole[name]) for name, weight in weights(resumed).items())
    assert open_bundle(resumed).manifest.method == "lora"


def interrupt():
    raise KeyboardInterrupt


def test_a_mixture_leaves_reports_of_both_protocols_and_no_bundle(trained, files, tmp_path, capsys):
    out = shutil.copytree(trained.folder(("method=full",)), tmp_path / "out", symlinks=True)
    published = current_bundle(out)
    folder = run(*files, out, load_recipe("small", [*world.TINY, "method=lora_moe"]), resume=False)
    assert folder.parent == out / "reports"
    assert {file.name for file in folder.iterdir()} == {
        "report.json",
        "report-candidates.json",
        "settings.json",
        FILE_NAME,
    }
    assert report_of(folder).keys() == report_of(published).keys()
    candidates = json.loads((folder / "report-candidates.json").read_text())
    assert candidates["protocol"] == "leave_one_out/candidates"
    assert json.loads((folder / "settings.json").read_text())["method"] == "lora_moe"
    assert "no bundle is published: lora_moe cannot be served" in capsys.readouterr().out
    assert current_bundle(out) == published, "what was served stays served"


def test_the_command_line(files, tmp_path):
    command = [sys.executable, str(ROOT / "trainer/run.py"), "--items", str(files[0]), "--events", str(files[1])]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "b"), "--recipe", "small", *world.TINY],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    assert open_bundle(tmp_path / "b/current").manifest.items == 30
    wrong = run_process(*command[1:], "--out", str(tmp_path / "c"), "training.stepz=1", imported="trainer")
    assert wrong.returncode == 2
    assert "did you mean training.steps" in wrong.stderr


def test_an_input_file_that_does_not_exist_is_named(files, tmp_path):
    with pytest.raises(TrainerError, match=r"nowhere\.parquet does not exist"):
        run(files[0], tmp_path / "nowhere.parquet", tmp_path, load_recipe("small", world.TINY), resume=False)
