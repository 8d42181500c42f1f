"""Gives every item its identifier, a sequence of codes, and sorts the catalog by identifiers, into leaf order.

N items, L levels, D embedding dimensions, E dimensions of co-occurrence factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from catalog.data.columns.long_text import taken
from catalog.data.items import Items, write_items
from catalog.ids.codes import Codebooks, atomic_codes, fit_level, semantic_codes
from catalog.ids.details import fit_details
from catalog.ids.embeddings import (
    FunctionEmbedder,
    HashingEmbedder,
    JoinedEmbedder,
    TextEmbedder,
    cooccurrence_factors,
    sentence_transformer,
)
from catalog.ids.index import ItemIndex
from catalog.ids.many_items import fitted
from trainer.config.recipe import IdentifierRecipe
from trainer.data.histories import MAX_COUNTED, Histories


@dataclass(frozen=True, slots=True)
class Identifiers:
    """A catalog with its identifiers.

    items: the items, in leaf order.
    codes_NL: their codes.
    index: the index of the codes.
    embedder, codebooks: what gives a new item its codes.
    """

    items: Items
    codes_NL: np.ndarray
    index: ItemIndex
    embedder: JoinedEmbedder
    codebooks: Codebooks

    def save(self, directory: Path) -> None:
        """Writes items.parquet, codes.npy, index/, embedder.npz and codebooks.npz."""
        directory.mkdir(parents=True, exist_ok=True)
        write_items(self.items.table, directory / "items.parquet")
        np.save(directory / "codes.npy", self.codes_NL, allow_pickle=False)
        self.index.save(directory / "index")
        self.embedder.save(directory / "embedder.npz")
        self.codebooks.save(directory / "codebooks.npz")


def identify(
    items: Items,
    train: Histories,
    recipe: IdentifierRecipe,
    *,
    seed: int,
    backbone_vectors: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> Identifiers:
    """Identifiers for all items, from their texts and from which items occur together in the training histories.

    It runs on one thread. More threads add up in another order, and a rounding could move an item to another code. On
    one thread a seed gives the same identifiers on every machine of the same kind, whatever its number of cores.

    train: the training histories; of more than MAX_COUNTED events, a sample of their users.
    seed: what everything random is drawn from.
    backbone_vectors: embeds texts by the backbone; needed where `recipe.text` is "backbone".
    """
    with threadpool_limits(1):
        return _identify(items, train, recipe, seed, backbone_vectors)


def _identify(
    items: Items,
    train: Histories,
    recipe: IdentifierRecipe,
    seed: int,
    backbone_vectors: Callable[[Sequence[str]], np.ndarray] | None,
) -> Identifiers:
    texts = items.texts()
    text = _text_embedder(texts, recipe, seed, backbone_vectors)
    factors_NE = cooccurrence_factors(_blocks(train), len(items), recipe.history_dimensions, seed=seed)
    embedder, vectors_ND = JoinedEmbedder.fit(text, texts, factors_NE, weight=recipe.history_weight)
    if recipe.scheme == "atomic":
        codebooks, codes_NL = Codebooks((vectors_ND,)), atomic_codes(len(items))
    else:
        first_CD = None
        if recipe.detail_dimensions:
            rows = fitted(len(texts), seed)
            first_CD, code_R = fit_level(vectors_ND[rows], recipe.code_sizes[0], seed)
            sample = [texts[row] for row in rows]
            details = fit_details(sample, code_R, train.texts, recipe.detail_dimensions, seed=seed)
            embedder, vectors_ND = embedder.with_details(details, texts, vectors_ND)
        codebooks, codes_NL = semantic_codes(vectors_ND, recipe.code_sizes, seed=seed, first_CD=first_CD)
    index, order_N = ItemIndex.build(codes_NL, codebooks.sizes)
    in_order = Items(taken(items.table, order_N))
    return Identifiers(in_order, codes_NL[order_N], index, embedder, codebooks)


def _blocks(train: Histories) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The user and the item of every event from which embeddings learn, in blocks of whole users."""
    counted = train.sample(MAX_COUNTED)
    for users in counted.blocks():
        span, count_U = counted.span_of(users)
        yield np.repeat(np.arange(len(users)), count_U), np.asarray(counted.items_E[span])


def _text_embedder(
    texts: list[str],
    recipe: IdentifierRecipe,
    seed: int,
    backbone_vectors: Callable[[Sequence[str]], np.ndarray] | None,
) -> TextEmbedder:
    if recipe.text == "sentence-transformers":
        return sentence_transformer(recipe.sentence_transformer)
    if backbone_vectors is not None:
        return FunctionEmbedder(backbone_vectors)
    return HashingEmbedder.fit(texts, recipe.text_dimensions, seed=seed)
