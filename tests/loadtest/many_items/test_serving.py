"""Of many items, a few thousand are coded, indexed, served and changed as the measurement does it with ten million."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from catalog.ids.codes import token_name
from loadtest.many_items import __main__ as command
from loadtest.many_items import coding, serving
from loadtest.many_items.bundle import ManyItems
from loadtest.measure.errors import LoadtestError
from loadtest.synthetic import shop

ITEMS = 1_200


@pytest.fixture
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("same_threads")
@pytest.mark.parametrize("guided", [True, False])
def test_a_catalog_is_coded_indexed_served_and_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guided: bool
) -> None:
    monkeypatch.setattr(coding, "SIZES", (16, 16, 16))
    monkeypatch.setattr(shop, "PIECE", 700)
    monkeypatch.setattr(serving, "WARM_UP", 3)

    def here(work, *arguments):
        work(*arguments)
        return {"seconds": 0.0, "rss_mb": 1.0, "anonymous_mb": 1.0}

    monkeypatch.setattr(coding, "in_process", here)
    monkeypatch.setattr(serving, "in_process", here)
    monkeypatch.setattr(serving, "gc_freeze", lambda: None)  # this process goes on
    folder, file = tmp_path / "made", tmp_path / "many.json"
    how = ["--items", str(ITEMS), "--json", str(file), "--folder", str(folder), "--questions", "6", "--changes", "1"]
    command.main([*how, *([] if guided else ["--unguided"])])
    report = json.loads(file.read_text(encoding="utf-8"))
    assert list(report["steps"]) == ["codes", "index", "bundle", "serve"]
    opened = {"items", "snapshot", "priors", "engine", "spelling"}
    assert opened <= report["bytes_an_item"].keys() == report["parts"].keys() - {"questions", "changes"}
    asked = {"answer", "engine", "facets", "suggestions", "filter", "insert", "replace", "delete"}
    assert asked <= report["questions"].keys()
    assert ("prior" in report["questions"]) == report["guided"] == guided
    assert report["questions"]["answer"]["times"] == 6
    assert report["items_with_events"] == (ITEMS if guided else 0)
    bundle = ManyItems(folder, ITEMS)
    assert len(set(bundle.items.ids)) == ITEMS
    np.testing.assert_array_equal(bundle.codes_NL, bundle.index.paths(np.arange(ITEMS)))
    token = bundle.tokenizer.token_to_id(token_name(1, int(bundle.codes_NL[7, 1])))
    assert bundle.prompts.item_tokens(7)[1] == token


def test_one_half_alone_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LoadtestError, match="--folder"):
        command.main(["--items", "10", "--json", str(tmp_path / "f"), "--only", "serve"])
