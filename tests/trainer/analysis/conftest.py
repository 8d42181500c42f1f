"""A base, and bundles of the tiny shop that were tuned from it."""

import pytest

from catalog.bundle.bundle import open_bundle
from tests.support import world
from trainer.analysis.pretrain_base import main as pretrain
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

TEXT = "\n\n".join(f"a {kind} of {colour} cloth is made to last" for kind in world.KINDS for colour in world.COLOURS)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return world.write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    file = tmp_path_factory.mktemp("corpus") / "general.txt"
    file.write_text(TEXT, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def base(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases") / "small"
    settings = [*world.TINY, "backbone.pretrain_steps=40"]
    assert pretrain(["--corpus", str(corpus), "--out", str(folder), "--recipe", "small", *settings]) == 0
    return folder


@pytest.fixture(scope="session")
def bundles(files, base, tmp_path_factory):
    """Of two methods, by name."""
    out = tmp_path_factory.mktemp("bundles")
    shared = [*world.TINY, f"backbone.path={base}", "training.steps=20", "gems.null_space=true"]
    return {
        method: open_bundle(
            run(*files, out / method, load_recipe("small", [*shared, f"method={method}", *rates]), resume=False)
        )
        for method, rates in {"gems": ["gems.lr=0.001"], "full": ["full.lr=0.02"]}.items()
    }
