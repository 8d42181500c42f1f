import numpy as np
import pytest

from catalog.errors import CatalogError
from catalog.ids import many_items
from catalog.ids.embeddings import FunctionEmbedder, HashingEmbedder, JoinedEmbedder, cooccurrence_factors

TEXTS = [
    "two person tent for summer hikes",
    "four person family tent",
    "light tent for one hiker",
    "carbon road bike helmet",
    "mountain bike helmet with visor",
    "kids bike helmet",
]


def test_texts_about_the_same_thing_are_nearer():
    vectors = HashingEmbedder.fit(TEXTS, 5).embed(TEXTS)
    alike = vectors @ vectors.T
    assert alike[0, 1] > alike[0, 3]
    assert alike[3, 4] > alike[3, 2]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_misspelt_text_stays_near():
    embedder = HashingEmbedder.fit(TEXTS, 5)
    vectors = embedder.embed(TEXTS)
    assert int((vectors @ embedder.embed(["bike helmt"])[0]).argmax()) in (3, 4, 5)


def test_saved_arrays_embed_the_same():
    embedder = HashingEmbedder.fit(TEXTS, 5)
    np.testing.assert_array_equal(
        HashingEmbedder.from_arrays(embedder.arrays()).embed(TEXTS[:2]), embedder.embed(TEXTS[:2])
    )


def test_items_without_a_word_are_refused():
    with pytest.raises(CatalogError, match="title"):
        HashingEmbedder.fit(["", "  "])


def test_items_taken_together_have_alike_factors():
    generator = np.random.default_rng(0)
    histories = [(np.full(5, n), generator.permutation(np.arange(5) + 5 * (n % 2))) for n in range(40)]
    factors = cooccurrence_factors(histories, 11, 4)
    alike = factors @ factors.T
    assert alike[0, 1] > 0.3  # 0.40 by the kernels of one processor, and as much of another's
    assert alike[0, 6] < 0.1
    assert not factors[10].any()


def test_blocks_of_users_give_the_factors_of_users_one_by_one():
    """Bit for bit, so that identifiers do not depend on how many events are looked at together."""
    generator = np.random.default_rng(1)
    users = [(np.full(n, user), generator.integers(0, 9, n)) for user, n in enumerate(generator.integers(0, 12, 60))]
    together = [tuple(map(np.concatenate, zip(*part, strict=True))) for part in (users[:25], users[25:])]
    expected = cooccurrence_factors(users, 9, 4)
    assert np.abs(expected).sum() > 1
    np.testing.assert_array_equal(cooccurrence_factors(together, 9, 4), expected)


def test_no_histories_give_no_factors():
    assert not cooccurrence_factors([], 5, 3).any()


def test_an_item_without_history_gets_the_factors_that_its_text_predicts():
    factors = np.array([[1, 0]] * 3 + [[0, 1]] * 2 + [[0, 0]], dtype=np.float32)
    joined, vectors = JoinedEmbedder.fit(HashingEmbedder.fit(TEXTS, 5), TEXTS, factors)
    predicted = vectors[5, -2:]
    assert predicted[1] > predicted[0]
    np.testing.assert_allclose(joined.embed([TEXTS[5]])[0], vectors[5], rtol=1e-5, atol=1e-6)


def test_many_items_are_embedded_in_pieces_by_what_a_sample_taught(monkeypatch):
    factors = np.array([[1, 0]] * 3 + [[0, 1]] * 2 + [[0, 0]], dtype=np.float32)
    monkeypatch.setattr(many_items, "MAX_FITTED", 5)
    monkeypatch.setattr(many_items, "PIECE", 2)
    sample = many_items.fitted(6, 0)
    text = HashingEmbedder.fit(TEXTS, 4)
    expected = HashingEmbedder.fit([TEXTS[row] for row in sample], 4)
    np.testing.assert_array_equal(text.components_DF, expected.components_DF)
    joined, vectors = JoinedEmbedder.fit(text, TEXTS, factors, weight=2.0)
    np.testing.assert_allclose(vectors[:, :4], text.embed(TEXTS), rtol=1e-6)
    np.testing.assert_allclose(vectors[:5, 4:], 2 * factors[:5], rtol=1e-6)
    np.testing.assert_allclose(vectors[5], joined.embed(TEXTS[5:])[0], rtol=1e-5, atol=1e-6)


def test_any_function_can_embed():
    vectors = FunctionEmbedder(lambda texts: np.array([[3.0, 4.0]] * len(texts))).embed(["a", "b"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8]] * 2, rtol=1e-6)


def test_a_saved_joined_embedder_embeds_the_same(tmp_path):
    factors = np.array([[1, 0]] * 3 + [[0, 1]] * 3, dtype=np.float32)
    joined, _ = JoinedEmbedder.fit(HashingEmbedder.fit(TEXTS, 5), TEXTS, factors, weight=2.0)
    joined.save(tmp_path / "embedder.npz")
    np.testing.assert_array_equal(JoinedEmbedder.open(tmp_path / "embedder.npz").embed(TEXTS), joined.embed(TEXTS))


def test_an_embedder_that_cannot_be_saved_says_so_when_opened(tmp_path):
    text = FunctionEmbedder(lambda texts: np.ones((len(texts), 3)))
    joined, _ = JoinedEmbedder.fit(text, TEXTS, np.zeros((len(TEXTS), 0), np.float32))
    joined.save(tmp_path / "embedder.npz")
    with pytest.raises(CatalogError, match=r"embedder\.npz.*identifiers\.text=hashing"):
        JoinedEmbedder.open(tmp_path / "embedder.npz")
