"""A bundle around the index of many items: made-up items and what events teach of some, and a tiny random model.

The items are written in pieces and are never in memory together. Where there are more than a million, events teach
something of the first million alone, as most items of so large a catalog have few events. Without what guides searches,
events teach nothing, and the bundle is one that was published without priors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.bundle.manifest import Manifest
from catalog.data.items import Items
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import token_name
from catalog.ids.index import ItemIndex
from catalog.priors.learned import save_learned
from catalog.suggestions import MIN_PEOPLE, TypedQueries, TypedQuery, key_of
from catalog.text.prompts import MARKERS, PROMPT_VERSION, PromptSettings
from loadtest.many_items.coding import CODEBOOKS, DIMENSIONS, INDEX
from loadtest.synthetic.shop import asked_before, tables, taught, words_of_shop

__all__ = ["MAX_KNOWN", "ManyItems", "write_bundle"]

MAX_KNOWN = 1_000_000
"""Items of which events teach something."""
TYPED = 50_000
"""Queries that are suggested, at most."""
ENTRIES = 2_048
"""Of the tokenizer, before codes."""
NOW = 1_790_000_000_000


class ManyItems(Bundle):
    """The bundle that `write_bundle` has written into a folder, whose parts are read as any bundle's."""

    def __init__(self, folder: Path, items: int) -> None:
        sizes = ItemIndex.open(folder / "catalog" / INDEX).sizes
        manifest = Manifest(
            version="many-items",
            created="2026-01-01T00:00:00+00:00",
            engine="transformers",
            method="random",
            base_model="random",
            identifiers="semantic",
            code_sizes=sizes,
            prompt_version=PROMPT_VERSION,
            items=items,
        )
        super().__init__(folder, manifest)

    @cached_property
    def code_assigner(self) -> CodeAssigner:
        """Codes new items by random vectors, as no text has made those of the others."""
        return CodeAssigner(RandomVectors(), self.codebooks)


class RandomVectors:
    """Vectors in place of embedded texts."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1, float32 [K, D], which depend on nothing but how many there are."""
        vector_KD = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSIONS), np.float32)
        return np.asarray(vector_KD / np.linalg.norm(vector_KD, axis=1, keepdims=True))


def write_bundle(folder: Path, items: int, seed: int, guided: bool) -> None:
    """Write the bundle around the index and the codebooks in a folder. guided: whether it has priors."""
    catalog = folder / "catalog"
    catalog.mkdir()
    for name in (INDEX, CODEBOOKS):
        (catalog / name).symlink_to(folder / name)
    index = ItemIndex.open(catalog / INDEX)
    np.save(catalog / "codes.npy", index.paths(np.arange(items)).astype(np.int64))
    _write_items(catalog / "items.parquet", items, seed)
    PromptSettings().save(catalog / "prompt.json")
    draw = np.random.default_rng(seed)
    if guided:
        shop = Items(pq.read_table(catalog / "items.parquet", columns=["item_id", "title", "brand", "categories"]))
        learned = taught(shop, words_of_shop(items), min(items, MAX_KNOWN), draw)
        save_learned(learned, catalog / "priors")
        asked = learned.queries
    else:
        asked = asked_before(Items(pq.read_table(catalog / "items.parquet", columns=["item_id", "title"])), draw)
    _write_typed(catalog / "typed_queries.json", asked, seed)
    _write_model(folder / "model", index.sizes, seed)


def _write_items(file: Path, items: int, seed: int) -> None:
    writer = None
    for piece in tables(items, seed):
        writer = writer or pq.ParquetWriter(file, piece.schema)
        writer.write_table(piece)
    if writer is not None:
        writer.close()


def _write_typed(file: Path, queries: Sequence[str], seed: int) -> None:
    texts = list({key: text for text in queries if (key := key_of(text))}.values())[:TYPED]
    people = MIN_PEOPLE + np.random.default_rng(seed).zipf(1.5, len(texts)).clip(max=10_000)
    every = zip(texts, people.tolist(), strict=True)
    TypedQueries(queries=tuple(TypedQuery(text=text, people=n, weight=n, last=NOW) for text, n in every)).save(file)


def _write_model(folder: Path, sizes: Sequence[int], seed: int) -> None:
    """A tiny Qwen2 with random weights, and a tokenizer with a token for every marker and code."""
    import torch

    from loadtest.synthetic.qwen import large_tokenizer, random_qwen

    tokenizer = large_tokenizer(ENTRIES)
    codes = [token_name(level, code) for level, size in enumerate(sizes) for code in range(size)]
    tokenizer.add_special_tokens({"additional_special_tokens": [*MARKERS, *codes]})
    tokenizer.save_pretrained(folder)
    vocabulary = -(-len(tokenizer) // 64) * 64
    random_qwen("qwen2.5-tiny", dtype=torch.float32, seed=seed, vocab_size=vocabulary).save_pretrained(folder)
