"""Training that goes on from a published bundle."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle, published_versions
from catalog.data.events import write_events
from catalog.data.items import Items, read_items, write_items
from catalog.errors import CatalogError
from catalog.ids.codes import Codebooks
from catalog.ids.index import ItemIndex
from tests.support import world
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.model.warm_start import check_fits, keep_identifiers, open_start, settings_of, start_backbone
from trainer.pipeline import run
from trainer.run import main
from trainer.runtime import loop
from trainer.runtime.step_log import FILE_NAME, read_step_log

LEARNED = [*world.TINY, *world.LEARNING]
NEW = ("kite-red", "kite-blue")
GONE = "tent-red"


@pytest.fixture(scope="module")
def old(trained, tmp_path_factory):
    """In a folder of its own, into which more is published."""
    folder = tmp_path_factory.mktemp("old") / "bundles"
    return open_bundle(current_bundle(shutil.copytree(trained.folder(world.LEARNING), folder, symlinks=True)))


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """The shop a week later: kites are sold and liked, red tents are not sold any more."""
    folder = tmp_path_factory.mktemp("later")
    table = world.item_table()
    kites = table.slice(0, len(NEW)).to_pylist()
    kites = [row | {"item_id": name, "title": name.replace("-", " ")} for row, name in zip(kites, NEW, strict=True)]
    left = table.filter(pa.compute.not_equal(table["item_id"], GONE))
    write_items(pa.concat_tables([left, pa.Table.from_pylist(kites, table.schema)]), folder / "items.parquet")
    events = world.event_table(seed=1)
    likes = [
        row | {"item_id": NEW[place % 2], "timestamp": row["timestamp"] + 10_000, "event_id": f"kite{place}"}
        for place, row in enumerate(events.slice(0, 60).to_pylist())
    ]
    write_events(pa.concat_tables([events, pa.Table.from_pylist(likes, events.schema)]), folder / "events.parquet")
    return folder / "items.parquet", folder / "events.parquet"


def codes_of(folder):
    items = Items(read_items(folder / "items.parquet"))
    return dict(zip(items.ids, map(tuple, np.load(folder / "codes.npy").tolist()), strict=True))


def weights(path):
    return AutoModelForCausalLM.from_pretrained(path / "model").state_dict()


def test_known_items_keep_their_codes_and_new_ones_get_free_ones(old, later, tmp_path, capsys):
    keep_identifiers(old, Items(read_items(later[0])), tmp_path)
    before, after = codes_of(old.catalog_dir), codes_of(tmp_path)
    assert before.keys() - after.keys() == {GONE}
    assert after.keys() - before.keys() == set(NEW)
    assert all(after[item] == before[item] for item in before if item != GONE)
    assert len(set(after.values())) == len(after)
    assert list(after.values()) == sorted(after.values()), "items stand in leaf order"
    assert len(ItemIndex.open(tmp_path / "index")) == len(after)
    assert Codebooks.open(tmp_path / "codebooks.npz").sizes == old.manifest.code_sizes
    assert "29 items keep their identifiers, 2 are new, 1 gone" in capsys.readouterr().out


def test_the_weights_are_the_bundles(old):
    backbone = start_backbone(old, settings_of(old))
    published = weights(old.path)
    assert all(torch.equal(weight, published[name]) for name, weight in backbone.model.state_dict().items())
    assert backbone.name == old.manifest.base_model
    assert backbone.tokenizer.get_vocab() == old.tokenizer.get_vocab()


def test_a_run_goes_on_where_the_bundle_stopped(old, later, tmp_path):
    recipe = settings_of(old, ["training.steps=3"])
    warm = open_bundle(run(*later, tmp_path / "warm", recipe, resume=False, start=old))
    cold = open_bundle(run(*later, tmp_path / "cold", recipe, resume=False))
    assert warm.manifest.warm_start == old.version
    assert cold.manifest.warm_start is None
    assert f"going on from {old.version}" in (warm.path / "README.md").read_text()
    assert len(warm.items) == 31
    assert warm.tokenizer.get_vocab() == old.tokenizer.get_vocab()
    first_warm, first_cold = (sum(read_step_log(b.path / FILE_NAME)[0].losses.values()) for b in (warm, cold))
    assert first_warm < first_cold - 0.3
    assert warm.golden is not None


def test_an_interrupted_warm_start_resumes_to_the_same_weights(old, later, tmp_path, monkeypatch):
    recipe = settings_of(old, ["training.steps=6"])
    whole = weights(run(*later, tmp_path / "whole", recipe, resume=False, start=old))
    step = loop._step

    def failing(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "_step", failing)
    with pytest.raises(KeyboardInterrupt):
        run(*later, tmp_path / "parts", recipe, resume=False, start=old)
    monkeypatch.setattr(loop, "_step", step)
    resumed = weights(run(*later, tmp_path / "parts", recipe, resume=True, start=old))
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())


def test_another_start_is_another_run(old, later, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    recipe = settings_of(old, ["training.steps=2"])
    monkeypatch.setattr(loop, "_step", interrupt)
    for start in (None, old):
        with pytest.raises(KeyboardInterrupt):
            run(*later, tmp_path, recipe, resume=True, start=start)
    assert len(list((tmp_path / ".training").iterdir())) == 2


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("identifiers.code_sizes=[16,8]", r"code_sizes is \(16, 8\) .* trained with \(8, 8\)"),
        ("identifiers.scheme=atomic", "scheme is 'atomic'"),
        ("backbone.hidden=128", "backbone.hidden is 128"),
        ("prompt.max_history=7", "prompt.max_history is 7"),
    ],
)
def test_a_recipe_that_does_not_fit_the_bundle_is_refused(old, override, named):
    with pytest.raises(TrainerError, match=named):
        check_fits(load_recipe("small", [*LEARNED, override]), old)


def test_what_may_differ(old):
    check_fits(load_recipe("small", [*world.TINY, "method=full", "training.steps=7", "seed=3"]), old)


def test_items_of_another_shop_are_refused(old, tmp_path):
    strangers = world.item_table().set_column(0, "item_id", pa.array([f"x{i}" for i in range(30)]))
    with pytest.raises(TrainerError, match="knows none of the 30 items: train from scratch"):
        keep_identifiers(old, Items(strangers), tmp_path)


def test_atomic_identifiers_have_no_room_for_new_items(later, tmp_path):
    files = world.write_world(tmp_path)
    atomic = load_recipe("small", [*world.TINY, "identifiers.scheme=atomic", "training.steps=2"])
    start = open_bundle(run(*files, tmp_path / "bundles", atomic, resume=False))
    fewer = tmp_path / "fewer.parquet"
    write_items(world.item_table().slice(1), fewer)
    again = open_bundle(run(fewer, files[1], tmp_path / "bundles", atomic, resume=False, start=start))
    assert codes_of(again.catalog_dir) == {
        item: codes for item, codes in codes_of(start.catalog_dir).items() if item != GONE
    }
    with pytest.raises(CatalogError, match="a new item would need a new token"):
        run(*later, tmp_path / "bundles", atomic, resume=False, start=start)


def test_the_command_goes_on_with_the_bundles_settings_and_leaves_current_alone(old, later, capsys):
    bundles = old.path.parent
    command = ["--items", str(later[0]), "--events", str(later[1]), "--out", str(bundles)]
    assert main([*command, "--warm-start", "current", "--no-activate", "training.steps=2"]) == 0
    assert current_bundle(bundles) == old.path
    new = open_bundle(bundles / published_versions(bundles)[-1])
    assert new.manifest.warm_start == old.version
    expected = old.manifest.settings | {"training": old.manifest.settings["training"] | {"steps": 2}}
    assert json.loads(json.dumps(new.manifest.settings)) == expected
    assert main([*command, "--warm-start", "current", "--recipe", "small"]) == 2
    assert "a warm start keeps" in capsys.readouterr().err
    assert main([*command, "--warm-start", str(bundles / "nothing")]) == 2
    assert "is not a bundle" in capsys.readouterr().err


def test_current_is_the_one_of_the_folder(old):
    assert open_start("current", old.path.parent).path == old.path
    assert open_start(str(old.path), old.path.parent / "elsewhere").path == old.path
