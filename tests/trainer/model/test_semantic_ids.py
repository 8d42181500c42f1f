"""Identifiers of a catalog and its histories."""

import numpy as np

from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import Codebooks
from catalog.ids.embeddings import JoinedEmbedder
from catalog.ids.index import ItemIndex
from tests.support import world
from trainer.config.recipe import IdentifierRecipe
from trainer.data.histories import Histories
from trainer.model.semantic_ids import identify

RECIPE = IdentifierRecipe(code_sizes=(8, 8), text_dimensions=4, history_dimensions=4)


def test_of_many_events_those_of_a_sample_are_learned_from(monkeypatch):
    train = Histories.from_events(world.event_table(40), world.items())
    sample = train.sample(len(train) // 2)
    assert 0 < len(sample) < len(train)
    expected = identify(world.items(), sample, RECIPE, seed=0)
    monkeypatch.setattr("trainer.model.semantic_ids.MAX_COUNTED", len(train) // 2)
    found = identify(world.items(), train, RECIPE, seed=0)
    assert found.items.ids == expected.items.ids
    np.testing.assert_array_equal(found.codes_NL, expected.codes_NL)


def test_details_give_items_the_same_first_codes_and_new_items_codes(tmp_path):
    train = Histories.from_events(world.event_table(40), world.items())
    without = identify(world.items(), train, RECIPE, seed=0)
    found = identify(world.items(), train, RECIPE.model_copy(update={"detail_dimensions": 3}), seed=0)
    first = dict(zip(without.items.ids, without.codes_NL[:, 0], strict=True))
    assert [first[item] for item in found.items.ids] == found.codes_NL[:, 0].tolist()
    assert len(np.unique(found.codes_NL, axis=0)) == len(found.items)

    found.save(tmp_path)
    assigner = CodeAssigner(JoinedEmbedder.open(tmp_path / "embedder.npz"), Codebooks.open(tmp_path / "codebooks.npz"))
    (codes,) = assigner.assign(["a text that nobody knows yet"], ItemIndex.open(tmp_path / "index"))
    assert codes.tolist() not in found.codes_NL.tolist()
