"""The identifiers of many items, from vectors that are mapped into memory to the index.

The vectors are synthetic: 300 kinds with 20 parts each, popular kinds more often, and noise, of length 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from catalog.ids.codes import semantic_codes
from catalog.ids.index import ItemIndex
from loadtest.measure.errors import LoadtestError
from loadtest.measure.process import in_process

__all__ = ["CODEBOOKS", "DIMENSIONS", "INDEX", "SIZES", "measure", "write_vectors"]

SIZES = (256, 256, 256, 256)
DIMENSIONS = 160
KINDS, PARTS = 300, 20
PIECE = 100_000
VECTORS, CODES, CODEBOOKS, INDEX = "vectors.f32", "codes.npy", "codebooks.npz", "index"


def measure(folder: Path, items: int, seed: int) -> dict[str, Any]:
    """The figures of a catalog whose vectors are made in a folder."""
    write_vectors(folder / VECTORS, items, seed)
    steps = {"codes": in_process(_code, folder, seed), "index": in_process(_index, folder)}
    vectors_ND = _vectors(folder)
    codes_NL = np.load(folder / CODES, mmap_mode="r")
    sample = np.random.default_rng(seed).choice(items, min(items, PIECE), replace=False)
    rebuilt = np.zeros((len(sample), DIMENSIONS), np.float32)
    for level, centroids_CD in enumerate(np.load(folder / CODEBOOKS).values()):
        rebuilt += centroids_CD[codes_NL[sample, level]]
    return {
        "items": items,
        "dimensions": DIMENSIONS,
        "code_sizes": SIZES,
        "squared_error": float(np.square(vectors_ND[sample] - rebuilt).sum(1).mean()),
        "index_mb": round(ItemIndex.open(folder / INDEX).nbytes / 1e6, 1),
        "steps": steps,
    }


def write_vectors(path: Path, items: int, seed: int) -> None:
    """A file of unit vectors, float32 [N, D], which are never in memory as a whole."""
    draw = np.random.default_rng(seed)
    part_PD = (0.6 * draw.normal(size=(KINDS * PARTS, DIMENSIONS))).astype(np.float32)
    part_PD += np.repeat(draw.normal(size=(KINDS, DIMENSIONS)), PARTS, axis=0).astype(np.float32)
    vectors_ND = np.memmap(path, np.float32, "w+", shape=(items, DIMENSIONS))
    for begin in range(0, items, PIECE):
        own = np.random.default_rng((seed, begin))
        count = min(PIECE, items - begin)
        part = (own.random(count) ** 2 * KINDS * PARTS).astype(np.int64)
        vector_BD = part_PD[part] + 0.35 * own.standard_normal((count, DIMENSIONS), np.float32)
        vectors_ND[begin : begin + count] = vector_BD / np.linalg.norm(vector_BD, axis=1, keepdims=True)


def _vectors(folder: Path) -> np.ndarray:
    return np.memmap(folder / VECTORS, np.float32, "r").reshape(-1, DIMENSIONS)


def _code(folder: Path, seed: int) -> None:
    books, codes_NL = semantic_codes(_vectors(folder), SIZES, seed=seed)
    books.save(folder / CODEBOOKS)
    np.save(folder / CODES, codes_NL)


def _index(folder: Path) -> None:
    index, order_N = ItemIndex.build(np.load(folder / CODES, mmap_mode="r"), SIZES)
    index.save(folder / INDEX)
    if len(order_N) != len(index):
        raise LoadtestError("the index does not have all items")
