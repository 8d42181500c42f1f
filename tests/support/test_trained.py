"""Trained bundles are kept, and made anew where they would be others."""

import pytest

from catalog.bundle.folder import current_bundle, published_versions
from tests.support import trained
from tests.support.trained import KEPT, Trained


@pytest.fixture
def made(monkeypatch):
    """The settings of every training."""
    made, run = [], trained.run

    def counted(items, events, out, recipe, *, resume):
        made.append(recipe.seed)
        return run(items, events, out, recipe, resume=resume)

    monkeypatch.setattr(trained, "run", counted)
    return made


def test_it_is_made_once_for_all_sessions_and_again_where_it_is_damaged(made, tmp_path):
    kept = tmp_path / "kept"
    first, second, third = (Trained(kept, tmp_path / name) for name in ("first", "second", "third"))
    folder = first.folder(("seed=1", "training.steps=1"), ("seed=2", "training.steps=1"))
    assert made == [1, 2]
    assert current_bundle(folder).name == published_versions(folder)[0]
    assert first.folder(("seed=1", "training.steps=1"), ("seed=2", "training.steps=1")) == folder
    again = second.folder(("seed=1", "training.steps=1"), ("seed=2", "training.steps=1"))
    assert made == [1, 2]
    assert again != folder
    assert published_versions(again) == published_versions(folder)
    (entry,) = (path for path in kept.glob("*/*") if path.is_dir())
    weights = entry / published_versions(entry)[1] / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    third.folder(("seed=1", "training.steps=1"), ("seed=2", "training.steps=1"))
    assert made == [1, 2, 1, 2]


def test_other_sources_make_other_bundles_and_few_versions_are_kept(made, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "USED_SECONDS", -1)
    for version in range(KEPT + 2):
        monkeypatch.setattr(trained, "version_of_sources", lambda version=version: f"version-{version}")
        Trained(tmp_path / "kept", tmp_path / str(version))
        if version < 2:
            Trained(tmp_path / "kept", tmp_path / str(version)).bundle("training.steps=1")
    assert made == [0, 0]
    assert len(list((tmp_path / "kept").iterdir())) == KEPT
