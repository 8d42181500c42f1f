"""A bundle on disk becomes what the service answers from."""

from pathlib import Path

import numpy as np
import pytest

from catalog.bundle.folder import publish
from catalog.bundle.source import BundleFolder
from catalog.data.items import write_items
from catalog.errors import CatalogError
from catalog.ids.index import ItemIndex
from catalog.text.prompts import PromptSettings
from server.core.errors import StartupError
from server.core.settings import Settings
from server.serving.deployment import open_served_bundle
from tests.support.small_shop import CODES_NL, NAMES, SIZES, make_items, make_manifest, make_tokenizer


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        make_tokenizer().save(str(folder / "model" / "tokenizer.json"))
        (folder / "catalog").mkdir()
        write_items(make_items().table, folder / "catalog" / "items.parquet")
        np.save(folder / "catalog" / "codes.npy", CODES_NL)
        PromptSettings(max_history=6, history_block=3).save(folder / "catalog" / "prompt.json")
        ItemIndex.build(CODES_NL, SIZES)[0].save(folder / "catalog" / "index")

    return publish(tmp_path, make_manifest(), fill)


def test_a_bundle_is_opened_by_name(bundle: Path) -> None:
    opened = open_served_bundle(Settings(bundles=bundle.parent), bundle.name, BundleFolder(bundle.parent))
    assert opened.version == bundle.name
    assert list(opened.items.ids) == NAMES
    assert opened.prompts.render([])
    assert len(opened.snapshot.index) == len(NAMES)


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
        open_served_bundle(Settings(bundles=bundle.parent), bundle.name, BundleFolder(bundle.parent))


def test_prompts_that_the_engine_cannot_take_are_refused_at_the_start(bundle: Path) -> None:
    settings = Settings(bundles=bundle.parent, engine={"max_prompt_tokens": 20})
    with pytest.raises(StartupError, match=r"raise --engine\.max-prompt-tokens"):
        open_served_bundle(settings, bundle.name, BundleFolder(bundle.parent))
