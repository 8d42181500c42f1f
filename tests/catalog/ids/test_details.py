import numpy as np

from catalog.ids.codes import fit_level, semantic_codes
from catalog.ids.details import fit_details
from catalog.ids.embeddings import HashingEmbedder, JoinedEmbedder
from catalog.ids.many_items import MAX_FITTED

KINDS, BRANDS, SAYINGS = ("tent", "stove", "rope"), ("aska", "brolen", "corvi", "dunmo"), ("holds", "lasts", "shines")
ROWS = [(kind, brand, saying) for kind in KINDS for brand in BRANDS for saying in SAYINGS]
TEXTS = [f"{brand} {kind} that {saying} in every weather" for kind, brand, saying in ROWS]
KIND_N = np.array([KINDS.index(kind) for kind, _, _ in ROWS])
BRAND_N = np.array([BRANDS.index(brand) for _, brand, _ in ROWS])
SAYING_N = np.array([SAYINGS.index(saying) for _, _, saying in ROWS])
QUERIES = [f"{brand} {kind}" for kind in KINDS for brand in BRANDS]


def alike(vectors_NE, label_N, *others):
    """The mean cosine of pairs of items that share a label and differ in all the others, below two first codes."""
    pairs = (label_N[:, None] == label_N) & (KIND_N[:, None] != KIND_N)
    for other_N in others:
        pairs &= other_N[:, None] != other_N
    return float((vectors_NE @ vectors_NE.T)[pairs].mean())


def test_details_are_the_words_that_people_search_for():
    asked = fit_details(TEXTS, KIND_N, QUERIES, 4).embed(TEXTS)
    assert alike(asked, BRAND_N, SAYING_N) > 0.9  # the brand alone, whatever the kind and the saying
    assert alike(asked, SAYING_N, BRAND_N) < 0.1


def test_without_queries_all_words_count():
    unasked = fit_details(TEXTS, KIND_N, [], 8).embed(TEXTS)
    assert alike(unasked, SAYING_N, BRAND_N) > 0.2
    assert alike(unasked, BRAND_N, SAYING_N) > 0.2


def test_one_item_a_first_code_leaves_nothing_to_tell_apart():
    vectors = fit_details(TEXTS, np.arange(len(TEXTS)), ["a query without a word of theirs"], 4).embed(TEXTS)
    assert np.isfinite(vectors).all()


def test_codes_after_the_first_are_of_details_and_the_first_is_not():
    about_N3 = np.eye(3, dtype=np.float32)[KIND_N]
    first_CD, code_N = fit_level(about_N3, 3, seed=0)
    details = fit_details(TEXTS, code_N, QUERIES, 4)
    vectors = np.hstack([about_N3, details.embed(TEXTS)])
    books, codes = semantic_codes(vectors, (3, 4, 4), seed=0, first_CD=first_CD)

    np.testing.assert_array_equal(codes[:, 0], code_N)
    for brand in range(len(BRANDS)):
        assert len(np.unique(codes[brand == BRAND_N, 1])) == 1  # the same one below every first code
    assert len(np.unique(codes, axis=0)) == len(TEXTS)
    assert [book.shape for book in books.centroids] == [(3, 7), (4, 7), (4, 7)]


def test_new_items_are_embedded_with_details_also_by_what_was_saved(tmp_path):
    factors = np.eye(3, dtype=np.float32)[KIND_N]
    without, vectors = JoinedEmbedder.fit(HashingEmbedder.fit(TEXTS, 5), TEXTS, factors, weight=2.0)
    joined, longer = without.with_details(fit_details(TEXTS, KIND_N, QUERIES, 4), TEXTS, vectors)
    assert longer.shape == (len(TEXTS), vectors.shape[1] + 4)
    np.testing.assert_array_equal(longer[:, : vectors.shape[1]], vectors)

    joined.save(tmp_path / "embedder.npz")
    found = JoinedEmbedder.open(tmp_path / "embedder.npz").embed(TEXTS)
    np.testing.assert_array_equal(found, joined.embed(TEXTS))
    np.testing.assert_allclose(found[:, vectors.shape[1] :], longer[:, vectors.shape[1] :], rtol=1e-6)


def test_details_of_many_items_are_embedded_in_pieces(monkeypatch):
    details = fit_details(TEXTS, KIND_N, QUERIES, 4)
    joined, vectors = JoinedEmbedder.fit(HashingEmbedder.fit(TEXTS, 5), TEXTS, np.zeros((len(TEXTS), 0), np.float32))
    _, expected = joined.with_details(details, TEXTS, vectors)
    assert len(TEXTS) < MAX_FITTED
    monkeypatch.setattr("catalog.ids.many_items.MAX_FITTED", 5)
    monkeypatch.setattr("catalog.ids.many_items.PIECE", 7)
    _, found = joined.with_details(details, TEXTS, vectors)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
