"""A bundle on disk becomes what the service answers from."""

from pathlib import Path

import numpy as np
import pytest

from catalog.bundle import publish
from catalog.errors import CatalogError
from catalog.index import ItemIndex
from catalog.items import write_items
from catalog.prompts import PromptSettings
from server import deployment as module
from server.deployment import open_deployment
from server.errors import StartupError
from server.settings import Settings
from tests.server.small_shop import CODES_NL, NAMES, SIZES, UNAVAILABLE, make_items, make_manifest, make_tokenizer


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "make_engine", lambda bundle, settings: (bundle.version, settings))

    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        make_tokenizer().save(str(folder / "model" / "tokenizer.json"))
        (folder / "catalog").mkdir()
        write_items(make_items().table, folder / "catalog" / "items.parquet")
        np.save(folder / "catalog" / "codes.npy", CODES_NL)
        PromptSettings(max_history=6, history_block=3).save(folder / "catalog" / "prompt.json")
        ItemIndex.build(CODES_NL, SIZES)[0].save(folder / "catalog" / "index")

    return publish(tmp_path, make_manifest(), fill)


def test_the_current_bundle_is_opened(bundle: Path) -> None:
    settings = Settings(bundles=bundle.parent)
    deployment = open_deployment(settings)
    assert deployment.version == bundle.name
    assert list(deployment.items.ids) == NAMES
    assert set(deployment.selection.excluded()) == UNAVAILABLE
    assert deployment.prompts.render([])
    limits = settings.engine.model_copy(update={"max_prompt_tokens": deployment.prompts.max_tokens})
    assert deployment.engine == (bundle.name, limits)


@pytest.mark.parametrize(
    "name", ["catalog/items.parquet", "catalog/codes.npy", "model/tokenizer.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_file_is_named(bundle: Path, name: str, damage: str) -> None:
    if damage == "missing":
        (bundle / name).unlink()
    else:
        (bundle / name).write_bytes((bundle / name).read_bytes()[:-2] + b"?!")
    with pytest.raises(CatalogError, match=name.rpartition("/")[2]):
        open_deployment(Settings(bundles=bundle.parent))


def test_prompts_that_the_engine_cannot_take_are_refused_at_the_start(bundle: Path) -> None:
    settings = Settings(bundles=bundle.parent, engine={"max_prompt_tokens": 20})
    with pytest.raises(StartupError, match=r"raise --engine\.max-prompt-tokens"):
        open_deployment(settings)
