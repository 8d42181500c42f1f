"""Embeds items, so that similar items get similar identifiers.

Text vectors have three sources: hashed TF-IDF reduced by SVD (the default, which needs no model and embeds a new item
by itself), the backbone's own embeddings, and sentence-transformers. They are joined with co-occurrence factors of the
training histories; an item in no history gets the factors that its text predicts.

Shapes: N items, F hashed features, D text dimensions, E co-occurrence dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion

from catalog.errors import CatalogError
from catalog.ids.many_items import fitted, pieces

WINDOW = 5
"""Greatest distance of two items in a history that count as a co-occurrence."""
DETAIL = "detail_"
"""What the names of the arrays of details begin with in a file."""


class TextEmbedder(Protocol):
    """A source of text vectors."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, float32 [N, D], of length 1, or 0 for a text without a known feature."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a bundle stores, so that new items can be embedded."""
        ...


def unit_rows(vectors_ND: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1; rows of zeros stay zero."""
    norms = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.where(norms > 0, norms, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class HashingEmbedder:
    """Hashed TF-IDF of words, word pairs and letter groups, reduced by SVD."""

    idf_F: np.ndarray
    components_DF: np.ndarray

    @classmethod
    def fit(
        cls, texts: Sequence[str], dimensions: int = 96, *, features: int = 2**14, seed: int = 0
    ) -> HashingEmbedder:
        """Fit the weights and the SVD to texts, to a sample of more than MAX_FITTED.

        Raises CatalogError if they have no words.
        """
        counts_NF = hashed_features([texts[row] for row in fitted(len(texts), seed)], features)
        if counts_NF.nnz == 0:
            raise CatalogError("no item has any text to embed: give items a title, or use atomic identifiers")
        tfidf = TfidfTransformer(sublinear_tf=True)
        weighted_NF = tfidf.fit_transform(counts_NF)
        rank = max(1, min(dimensions, weighted_NF.shape[0] - 1))
        svd = TruncatedSVD(rank, random_state=seed).fit(weighted_NF)
        return cls(tfidf.idf_.astype(np.float32), svd.components_.astype(np.float32))

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> HashingEmbedder:
        """The embedder of the arrays that `arrays` returned."""
        return cls(arrays["idf_F"], arrays["components_DF"])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        counts_NF = hashed_features(texts, len(self.idf_F))
        counts_NF.data = 1 + np.log(counts_NF.data)
        weighted_NF = counts_NF.multiply(self.idf_F).tocsr()
        return unit_rows(weighted_NF @ self.components_DF.T)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"idf_F": self.idf_F, "components_DF": self.components_DF}


@dataclass(frozen=True, slots=True)
class FunctionEmbedder:
    """A function from texts to vectors: the backbone's mean token embedding, or a sentence-transformers model."""

    function: Callable[[Sequence[str]], np.ndarray]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return unit_rows(np.asarray(self.function(texts), dtype=np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def sentence_transformer(name_or_path: str) -> FunctionEmbedder:
    """A sentence-transformers model (`pip install gemserve[embeddings]`)."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise CatalogError("embedding by sentence-transformers needs `pip install sentence-transformers`") from error
    model = SentenceTransformer(name_or_path)
    return FunctionEmbedder(lambda texts: np.asarray(model.encode(list(texts))))


def hashed_features(texts: Sequence[str], features: int) -> Any:
    """How often each text has every hashed word, word pair and letter group: a sparse matrix [N, features]."""
    words = HashingVectorizer(n_features=features // 2, ngram_range=(1, 2), norm=None, alternate_sign=False)
    letters = HashingVectorizer(
        n_features=features // 2, analyzer="char_wb", ngram_range=(3, 4), norm=None, alternate_sign=False
    )
    return FeatureUnion([("words", words), ("letters", letters)]).transform(list(texts)).tocsr()


def cooccurrence_factors(
    histories: Iterable[tuple[np.ndarray, np.ndarray]], items: int, dimensions: int = 64, *, seed: int = 0
) -> np.ndarray:
    """Co-occurrence factors of items, float32 [N, E]; rows of zeros for items in no history.

    They are U·sqrt(S) of the matrix of positive pointwise mutual information of items near each other in histories
    (Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization").

    histories: blocks of whole users: the user and the item of every event, int64, each user's in the order of time.
    """
    counts_NN = _near(np.empty(0, np.int64), np.empty(0, np.int64), items)
    for user_B, item_B in histories:
        counts_NN = counts_NN + _near(user_B, item_B, items)
    pairs = (counts_NN + counts_NN.T).tocoo()
    if pairs.nnz == 0 or dimensions == 0:
        return np.zeros((items, 0), np.float32)
    popularity_N = np.asarray(pairs.sum(0)).ravel() ** 0.75  # smoothed, as in word2vec's negative sampling
    share = pairs.data / pairs.data.sum()
    expected = popularity_N[pairs.row] * popularity_N[pairs.col] / popularity_N.sum() ** 2
    information = np.log(np.maximum(share / expected, 1))
    matrix = sp.csr_matrix((information, (pairs.row, pairs.col)), shape=(items, items))
    rank = max(1, min(dimensions, items - 1))
    svd = TruncatedSVD(rank, random_state=seed)
    return unit_rows(svd.fit_transform(matrix) / np.sqrt(np.maximum(svd.singular_values_, 1e-6)))


def _near(user_B: np.ndarray, item_B: np.ndarray, items: int) -> sp.csr_matrix:
    """How often every item was taken at most WINDOW events before every other: float32 [N, N]."""
    same = [user_B[:-apart] == user_B[apart:] for apart in range(1, WINDOW + 1)]
    left = np.concatenate([item_B[:-apart][own] for apart, own in enumerate(same, start=1)])
    right = np.concatenate([item_B[apart:][own] for apart, own in enumerate(same, start=1)])
    return sp.csr_matrix((np.ones(len(left), np.float32), (left, right)), shape=(items, items))


@dataclass(frozen=True, slots=True)
class JoinedEmbedder:
    """Text vectors joined with co-occurrence factors, and with details if there are any (`catalog/ids/details.py`).

    weight: of the factors, where that of the text is 1.
    ridge_DE: predicts the factors of an item in no history from its text.
    details: embeds what tells items of one first code apart.
    """

    text: TextEmbedder
    weight: float
    ridge_DE: np.ndarray
    details: HashingEmbedder | None = None

    @classmethod
    def fit(
        cls, text: TextEmbedder, texts: Sequence[str], factors_NE: np.ndarray, *, weight: float = 1.0
    ) -> tuple[JoinedEmbedder, np.ndarray]:
        """Fit the prediction of factors; returns the embedder and the vectors of these items, float32 [N, D+E]."""
        known_N = np.abs(factors_NE).sum(1) > 0
        factors_NE = factors_NE if known_N.any() else factors_NE[:, :0]
        vectors_ND, dimensions = _embedded(text, texts, factors_NE.shape[1])
        if not known_N.any():
            return cls(text, weight, np.zeros((dimensions, 0), np.float32)), vectors_ND
        rows = fitted(len(texts), 0)
        rows = rows[known_N[rows]]
        ridge = Ridge(alpha=1.0, fit_intercept=False).fit(vectors_ND[rows, :dimensions], factors_NE[rows])
        ridge_DE = ridge.coef_.T.astype(np.float32)
        for piece in pieces(len(texts)):
            predicted_PE = unit_rows(np.ascontiguousarray(vectors_ND[piece, :dimensions]) @ ridge_DE)
            own_PE = np.where(known_N[piece, None], factors_NE[piece], predicted_PE)
            vectors_ND[piece, dimensions:] = weight * own_PE
        return cls(text, weight, ridge_DE), vectors_ND

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of new items, float32 [N, D+E]: their texts, the factors that these predict, and the details."""
        text_ND = self.text.embed(texts)
        details = [] if self.details is None else [self.details.embed(texts)]
        return np.hstack([text_ND, self.weight * unit_rows(text_ND @ self.ridge_DE), *details])

    def with_details(
        self, details: HashingEmbedder, texts: Sequence[str], vectors_ND: np.ndarray
    ) -> tuple[JoinedEmbedder, np.ndarray]:
        """The embedder with these details, and the vectors of items with theirs behind, float32 [N, D+E].

        vectors_ND: what `fit` returned for these texts.
        """
        of_details = [details.embed(texts[piece]) for piece in pieces(len(texts))]
        return replace(self, details=details), np.hstack([vectors_ND, np.concatenate(of_details)])

    def save(self, path: Path) -> None:
        np.savez(
            path,
            allow_pickle=False,
            weight=np.float32(self.weight),
            ridge_DE=self.ridge_DE,
            **self.text.arrays(),
            **({} if self.details is None else {DETAIL + name: a for name, a in self.details.arrays().items()}),
        )

    @classmethod
    def open(cls, path: Path) -> JoinedEmbedder:
        """Read what `save` has written. Raises CatalogError if no text embedder was stored; only hashing ones are."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if "components_DF" not in arrays:
            raise CatalogError(
                f"{path} cannot embed the text of new items: train again with identifiers.text=hashing, or do not "
                "insert items while serving"
            )
        of_details = {name.removeprefix(DETAIL): a for name, a in arrays.items() if name.startswith(DETAIL)}
        details = HashingEmbedder.from_arrays(of_details) if of_details else None
        return cls(HashingEmbedder.from_arrays(arrays), float(arrays["weight"]), arrays["ridge_DE"], details)


def _embedded(text: TextEmbedder, texts: Sequence[str], further: int) -> tuple[np.ndarray, int]:
    """The vectors of texts, float32 [N, D + further], of which the last are left to be set, and D."""
    first, *others = pieces(len(texts))
    found_PD = text.embed(texts[first])
    dimensions = found_PD.shape[1]
    vectors_ND = np.empty((len(texts), dimensions + further), np.float32)
    vectors_ND[first, :dimensions] = found_PD
    for piece in others:
        vectors_ND[piece, :dimensions] = text.embed(texts[piece])
    return vectors_ND, dimensions
