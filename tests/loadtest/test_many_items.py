"""The measurement of many identifiers gives every item a path of its own, in pieces as at once."""

from pathlib import Path

import numpy as np
import pytest

from catalog.ids import many_items as how_many
from catalog.ids.index import ItemIndex
from loadtest import many_items


def test_every_item_has_a_path_and_is_rebuilt_nearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_items, "PIECE", 500)
    monkeypatch.setattr(many_items, "SIZES", (16, 16, 16))
    monkeypatch.setattr(how_many, "MAX_FITTED", 700)
    monkeypatch.setattr(how_many, "PIECE", 300)
    monkeypatch.setattr(many_items, "in_process", lambda work, *arguments: {"result": work(*arguments)})
    (tmp_path / "pieces").mkdir()
    (tmp_path / "whole").mkdir()
    figures = many_items.measure(tmp_path / "pieces", 1_200, seed=1)
    assert len(ItemIndex.open(tmp_path / "pieces" / "index")) == 1_200
    np.testing.assert_allclose(np.linalg.norm(many_items._vectors(tmp_path / "pieces"), axis=1), 1, rtol=1e-5)
    monkeypatch.setattr(how_many, "MAX_FITTED", 1_200)
    whole = many_items.measure(tmp_path / "whole", 1_200, seed=1)
    assert figures["squared_error"] == pytest.approx(whole["squared_error"], rel=0.1)
