"""The measurement of many identifiers gives every item a path of its own, in pieces as at once."""

from pathlib import Path

import numpy as np
import pytest

from catalog.ids import many_items as how_many
from catalog.ids.index import ItemIndex
from loadtest.many_items import coding


def test_every_item_has_a_path_and_is_rebuilt_nearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "PIECE", 500)
    monkeypatch.setattr(coding, "SIZES", (16, 16, 16))
    monkeypatch.setattr(how_many, "MAX_FITTED", 700)
    monkeypatch.setattr(how_many, "PIECE", 300)
    monkeypatch.setattr(coding, "in_process", lambda work, *arguments: {"result": work(*arguments)})
    (tmp_path / "pieces").mkdir()
    (tmp_path / "whole").mkdir()
    figures = coding.measure(tmp_path / "pieces", 1_200, seed=1)
    assert len(ItemIndex.open(tmp_path / "pieces" / "index")) == 1_200
    np.testing.assert_allclose(np.linalg.norm(coding._vectors(tmp_path / "pieces"), axis=1), 1, rtol=1e-5)
    monkeypatch.setattr(how_many, "MAX_FITTED", 1_200)
    whole = coding.measure(tmp_path / "whole", 1_200, seed=1)
    assert figures["squared_error"] == pytest.approx(whole["squared_error"], rel=0.1)
