"""Codes for new items: always free, and where nothing is in the way the nearest."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogError
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import Codebooks, semantic_codes
from catalog.ids.embeddings import HashingEmbedder
from catalog.ids.index import ItemIndex
from tests.support import world


class Coordinates:
    """Texts that spell their own vectors, "0.5 -1"."""

    def embed(self, texts):
        return np.array([[float(number) for number in text.split()] for text in texts], np.float32)


def spelt(vectors):
    return [" ".join(map(str, vector)) for vector in vectors.tolist()]


def random_books(sizes, seed, dimensions=3):
    generator = np.random.default_rng(seed)
    return Codebooks(
        tuple((generator.normal(size=(size, dimensions)) / 2**i).astype(np.float32) for i, size in enumerate(sizes))
    )


def error_of(path, vector, books):
    """The squared distance of a path, by the definition."""
    rebuilt = sum(centroids[code].astype(np.float64) for code, centroids in zip(path, books.centroids, strict=True))
    return float(((vector - rebuilt) ** 2).sum())


def index_of(paths, sizes):
    return ItemIndex.build(np.array(paths), sizes)[0]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 99),
    batch=st.integers(1, 7),
    distinct=st.integers(1, 5),
)
def test_a_space_of_codes_fills_to_its_last_path(sizes, seed, batch, distinct):
    generator = np.random.default_rng(seed)
    code_assigner = CodeAssigner(Coordinates(), random_books(sizes, seed))
    space = [list(path) for path in product(*(range(size) for size in sizes))]
    paths = [space[generator.integers(len(space))]]
    while len(paths) < len(space):
        new = min(batch, len(space) - len(paths))
        vectors = np.random.default_rng(seed).normal(size=(distinct, 3))[generator.integers(0, distinct, new)]
        paths += code_assigner.assign(spelt(vectors), index_of(paths, sizes)).tolist()
        index_of(paths, sizes)  # raises for two of one path
    assert sorted(paths) == space
    with pytest.raises(CatalogError, match=rf"0 of the {len(space)} paths.*identifiers.code_sizes"):
        code_assigner.assign(["0 0 0"], index_of(paths, sizes))


@given(seed=st.integers(0, 999))
def test_with_room_an_item_is_coded_as_in_training(seed):
    sizes = (4, 4, 4)
    books = random_books(sizes, seed)
    vector = np.random.default_rng(seed + 1).normal(size=3)
    residual, greedy = vector.astype(np.float32), []
    for centroids in books.centroids:
        greedy.append(int(((residual - centroids) ** 2).sum(1).argmin()))
        residual = residual - centroids[greedy[-1]]
    elsewhere = [(code + 1) % 4 for code in greedy]
    code_assigner = CodeAssigner(Coordinates(), books)
    assert code_assigner.assign(spelt(vector[None]), index_of([elsewhere], sizes)).tolist() == [greedy]
    siblings = [[*greedy[:-1], code] for code in range(4)]
    nearest = sorted(siblings, key=lambda path: error_of(path, vector, books))
    assert nearest[0] == greedy
    assert code_assigner.assign(spelt(vector[None]), index_of([greedy], sizes)).tolist() == [nearest[1]]
    assert code_assigner.assign(spelt(np.stack([vector] * 2)), index_of([elsewhere], sizes)).tolist() == nearest[:2]


@given(seed=st.integers(0, 999))
def test_beyond_a_full_node_the_nearest_of_all_free_paths_is_found(seed):
    sizes = (3, 3, 3)  # so small that the beam of 16 follows every node: exact, by brute force
    generator = np.random.default_rng(seed)
    books, vector = random_books(sizes, seed), generator.normal(size=3)
    space = list(product(range(3), repeat=3))
    code_assigner = CodeAssigner(Coordinates(), books)
    (greedy,) = code_assigner.assign(spelt(vector[None]), index_of([space[0]], sizes)).tolist()
    full = [path for path in space if path[:2] == tuple(greedy[:2])]
    others = [path for path in space if path not in full]
    taken = full + [others[i] for i in generator.permutation(len(others))[: generator.integers(0, len(others))]]
    (found,) = code_assigner.assign(spelt(vector[None]), index_of(taken, sizes)).tolist()
    free = [path for path in space if path not in taken]
    assert error_of(found, vector, books) == pytest.approx(min(error_of(p, vector, books) for p in free), abs=1e-5)


def test_an_item_that_left_and_came_back_stands_near_its_old_place():
    texts = world.items().texts()
    embedder = HashingEmbedder.fit(texts, 16)
    books, codes = semantic_codes(embedder.embed(texts), [8, 8], seed=0)
    code_assigner = CodeAssigner(embedder, books)
    kept = 0
    for row, text in enumerate(texts):
        again = code_assigner.assign([text], index_of(np.delete(codes, row, axis=0), [8, 8]))
        kept += again[0, 0] == codes[row, 0]
    assert kept == len(texts)  # the first code is the nearest, then as now


def test_an_index_of_other_sizes_is_refused():
    code_assigner = CodeAssigner(Coordinates(), random_books((2, 2), 0))
    with pytest.raises(CatalogError, match=r"sizes \(2, 2\).*\(2, 3\)"):
        code_assigner.assign(["0 0 0"], index_of([[0, 0]], (2, 3)))
