"""Identifiers of a catalog and its histories."""

import numpy as np

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
