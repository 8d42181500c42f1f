import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogError
from catalog.ids import many_items
from catalog.ids.codes import (
    Codebooks,
    atomic_codes,
    codes_in_pieces,
    semantic_codes,
    token_name,
    unique_codes,
)


@given(
    items=st.integers(3, 120),
    distinct=st.integers(1, 12),
    sizes=st.lists(st.integers(2, 16), min_size=2, max_size=4),
    seed=st.integers(0, 9),
)
def test_every_item_gets_its_own_path_even_among_equal_vectors(items, distinct, sizes, seed):
    items = min(items, int(np.prod(sizes)))
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(distinct, 4)).astype(np.float32)[generator.integers(0, distinct, items)]

    books, codes = semantic_codes(vectors, sizes, seed=seed)

    assert books.sizes == tuple(sizes)
    assert len(np.unique(codes, axis=0)) == items
    assert (codes >= 0).all()
    assert (codes < np.array(sizes)).all()


@given(
    vectors=st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=1, max_size=60),
    sizes=st.sampled_from([(2, 40), (3, 5, 5), (64, 2, 2), (2, 3, 4, 5)]),
    piece=st.sampled_from([1, 7, 1000]),
    seed=st.integers(0, 3),
)
def test_codes_in_pieces_are_those_of_all_at_once(vectors, sizes, piece, seed):
    """Of whole numbers, which nothing rounds, so that equal distances are equal either way."""
    vectors_ND = np.array(vectors, np.float32)
    generator = np.random.default_rng(seed)
    books = Codebooks(tuple(generator.integers(-3, 4, (size, 2)).astype(np.float32) for size in sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_items, "MAX_FITTED", 0)
        patch.setattr(many_items, "PIECE", piece)
        found = codes_in_pieces(vectors_ND, books)
    np.testing.assert_array_equal(found, unique_codes(vectors_ND, books))
    assert len(np.unique(found, axis=0)) == len(vectors)


def test_codebooks_of_many_items_are_fitted_to_a_sample(monkeypatch):
    vectors = np.random.default_rng(3).normal(size=(400, 6)).astype(np.float32)
    monkeypatch.setattr(many_items, "MAX_FITTED", 100)
    monkeypatch.setattr(many_items, "PIECE", 64)
    books, codes = semantic_codes(vectors, [8, 16, 16], seed=1)
    expected, _ = semantic_codes(vectors[many_items.fitted(400, 1)], [8, 16, 16], seed=1)
    for one, other in zip(books.centroids, expected.centroids, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(np.unique(codes, axis=0)) == 400


def test_alike_items_share_their_first_code():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(4, 8)) * 10
    vectors = np.repeat(centres, 20, axis=0) + generator.normal(size=(80, 8)) * 0.1

    _, codes = semantic_codes(vectors.astype(np.float32), [4, 32], seed=0)

    for group in range(4):
        assert len(set(codes[20 * group : 20 * group + 20, 0])) == 1


def test_residuals_shrink_level_by_level():
    vectors = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)
    books, codes = semantic_codes(vectors, [16, 16, 16], seed=0)

    errors, rebuilt = [], np.zeros_like(vectors)
    for level, centroids in enumerate(books.centroids):
        rebuilt = rebuilt + centroids[codes[:, level]]
        errors.append(float(((vectors - rebuilt) ** 2).sum(1).mean()))
    assert errors == sorted(errors, reverse=True)


def test_codebooks_survive_saving(tmp_path):
    books, _ = semantic_codes(np.random.default_rng(2).normal(size=(50, 5)).astype(np.float32), [8, 16], seed=0)
    books.save(tmp_path / "books.npz")
    for saved, kept in zip(Codebooks.open(tmp_path / "books.npz").centroids, books.centroids, strict=True):
        np.testing.assert_array_equal(saved, kept)


@pytest.mark.parametrize("sizes", [[16], [3, 3]])
def test_levels_that_cannot_tell_items_apart_are_refused(sizes):
    with pytest.raises(CatalogError, match="code"):
        semantic_codes(np.eye(12, dtype=np.float32), sizes)


def test_atomic_codes_are_the_item_numbers():
    np.testing.assert_array_equal(atomic_codes(3), [[0], [1], [2]])


def test_token_names():
    assert [token_name(0, 17), token_name(2, 0)] == ["<a_17>", "<c_0>"]
