import numpy as np
import pytest

from loadtest.synthetic.codes import uniform_codes, zipf_codes


@pytest.mark.parametrize("draw", [uniform_codes, zipf_codes])
def test_paths_are_distinct_unsorted_and_within_their_levels(draw):
    codes = draw(5000, 3, 32, seed=1)
    assert codes.shape == (5000, 3)
    assert len(np.unique(codes, axis=0)) == 5000
    assert codes.min() == 0
    assert codes.max() == 31
    assert not np.array_equal(codes, np.unique(codes, axis=0))
    assert np.array_equal(codes, draw(5000, 3, 32, seed=1))
    assert not np.array_equal(codes, draw(5000, 3, 32, seed=2))


def test_only_skewed_codes_have_favourites_at_every_level():
    for level in range(3):
        even, skewed = (
            np.sort(np.bincount(draw(5000, 3, 64, 0)[:, level], minlength=64))[::-1]
            for draw in (uniform_codes, zipf_codes)
        )
        assert even[0] < 2 * even[32]
        assert skewed[0] > 4 * skewed[32]


def test_a_catalog_of_nearly_all_paths_is_refused():
    with pytest.raises(ValueError, match="2 codes at 3 levels give 8"):
        uniform_codes(5, 3, 2, 0)
