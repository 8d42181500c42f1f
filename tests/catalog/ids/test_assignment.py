import numpy as np
import pytest

from catalog.ids.assignment import MAX_EXACT, SLACK, least_total, nearly_least_total


def costs(items: int, codes: int, *, wanted_by_all: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng([items, codes])
    return (generator.random((items, codes)) + wanted_by_all * generator.random(codes)).astype(np.float32)


@pytest.mark.parametrize(("items", "codes"), [(256, 256), (100, 256), (65, 65)])
@pytest.mark.parametrize("wanted_by_all", [0.0, 5.0])
def test_an_auction_gives_every_item_a_code_of_its_own_and_loses_no_more_than_its_slack(items, codes, wanted_by_all):
    cost_GC = costs(items, codes, wanted_by_all=wanted_by_all)
    code_G = nearly_least_total(cost_GC)

    assert len(np.unique(code_G)) == items
    every = np.arange(items)
    least = cost_GC[every, least_total(cost_GC)].sum()
    allowed = items * SLACK * np.ptp(cost_GC, axis=1).mean()
    assert least - 1e-3 <= cost_GC[every, code_G].sum() <= least + allowed
    np.testing.assert_array_equal(nearly_least_total(cost_GC), code_G)


def test_few_items_are_assigned_exactly():
    cost_GC = costs(MAX_EXACT, 256, wanted_by_all=2.0)
    np.testing.assert_array_equal(nearly_least_total(cost_GC), least_total(cost_GC))


def test_items_that_are_all_alike_are_told_apart():
    assert len(np.unique(nearly_least_total(np.full((100, 128), 3.5, np.float32)))) == 100
