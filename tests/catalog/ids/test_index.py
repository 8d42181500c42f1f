"""The item index against the plainest possible reading of the same codes: a sorted list of tuples."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex


@st.composite
def catalogs(draw):
    """Unsorted distinct paths, with the sizes of their levels."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 5, 70_000]), min_size=1, max_size=4))
    path = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    return draw(st.lists(path, min_size=1, max_size=40, unique=True)), sizes


@given(catalogs())
def test_every_leaf_has_its_path_and_every_path_its_leaf(catalog):
    paths, sizes = catalog
    index, order = ItemIndex.build(np.array(paths), sizes)
    ordered = sorted(paths)
    assert [paths[row] for row in order] == ordered
    assert [tuple(path) for path in index.paths(np.arange(len(index)))] == ordered
    assert [index.path(leaf) for leaf in range(len(index))] == ordered
    assert [index.leaf(path) for path in ordered] == list(range(len(ordered)))


@given(catalogs())
def test_every_node_owns_the_leaves_below_it(catalog):
    paths, sizes = catalog
    index, _ = ItemIndex.build(np.array(paths), sizes)
    ordered = sorted(paths)
    for level in range(len(sizes) + 1):
        prefixes = sorted({path[:level] for path in paths})
        start = index.leaf_start(level)
        assert start.tolist() == [
            *(min(i for i, path in enumerate(ordered) if path[:level] == prefix) for prefix in prefixes),
            len(paths),
        ]


@given(catalogs())
def test_every_prefix_has_its_node(catalog):
    paths, sizes = catalog
    index, _ = ItemIndex.build(np.array(paths), sizes)
    for level in range(len(sizes) + 1):
        prefixes = sorted({path[:level] for path in paths})
        assert [index.node(prefix) for prefix in prefixes] == list(range(len(prefixes)))


def test_absent_prefix_has_no_node():
    index, _ = ItemIndex.build(np.array([[0, 1, 0], [2, 0, 1]]), [3, 3, 3])
    assert [index.node(prefix) for prefix in [(), (1,), (2,), (0, 0), (2, 0), (2, 1)]] == [0, None, 1, None, 1, None]


@pytest.mark.parametrize("path", [(0,), (0, 1, 0)])
def test_a_path_of_another_depth_is_refused(path):
    index, _ = ItemIndex.build(np.array([[0, 1], [2, 0]]), [3, 3])
    with pytest.raises(ValueError, match="2 codes"):
        index.leaf(path)


@given(catalogs())
def test_fan_out_is_the_most_children_of_a_node(catalog):
    paths, sizes = catalog
    index, _ = ItemIndex.build(np.array(paths), sizes)
    for level, fan_out in enumerate(index.fan_out):
        children: dict = {}
        for path in paths:
            children.setdefault(path[:level], set()).add(path[level])
        assert fan_out == max(len(codes) for codes in children.values())


def test_absent_path_has_no_leaf():
    index, _ = ItemIndex.build(np.array([[0, 1], [2, 0]]), [3, 3])
    assert index.leaf((0, 2)) is None
    assert index.leaf((1, 0)) is None
    assert index.leaf((2, 1)) is None


@pytest.mark.parametrize("sizes", [[4, 4, 4], [1 << 20] * 5], ids=["one word", "several words"])
def test_long_paths_sort_like_tuples(sizes):
    paths = np.unique(np.random.default_rng(0).integers(0, sizes, (500, len(sizes))), axis=0)
    shuffled = np.random.default_rng(1).permutation(paths)
    index, order = ItemIndex.build(shuffled, sizes)
    assert (shuffled[order] == paths).all()
    assert (index.paths(np.arange(len(index))) == paths).all()


def test_round_trip_through_files(tmp_path):
    paths = np.unique(np.random.default_rng(0).integers(0, 9, (200, 3)), axis=0)
    built, _ = ItemIndex.build(paths, [9, 9, 9])
    built.save(tmp_path / "index")
    opened = ItemIndex.open(tmp_path / "index")
    assert opened.sizes == (9, 9, 9)
    assert len(opened) == opened.leaves == len(paths)
    assert opened.nbytes == built.nbytes
    assert (opened.paths(np.arange(len(opened))) == paths).all()
    assert all(isinstance(array, np.memmap) for array in opened.code)


def test_never_changes():
    index, _ = ItemIndex.build(np.array([[0], [1]]), [2])
    with pytest.raises(ValueError, match="read-only"):
        index.code[0][0] = 1


def test_a_million_like_catalog_is_small():
    paths = np.unique(np.random.default_rng(0).integers(0, 32, (30_000, 4)), axis=0)
    index, _ = ItemIndex.build(paths, [32] * 4)
    assert index.nbytes / len(index) <= 9


@pytest.mark.parametrize(
    ("codes", "sizes", "message"),
    [
        ([[0, 1], [1, 1], [0, 1]], [2, 2], r"items 0 and 2 have the same codes \[0, 1\]"),
        ([[0, 2]], [2, 2], r"level 1 span \[2, 2\], outside \[0, 2\)"),
        ([[-1, 0]], [2, 2], "level 0 span"),
        ([[0, 0]], [2], r"want \[items, 1\]"),
        ([[0.5]], [2], "want integers"),
        (np.zeros((0, 2), int), [2, 2], "at least 1|between 1"),
    ],
)
def test_impossible_codes_are_refused(codes, sizes, message):
    with pytest.raises(ItemIndexError, match=message):
        ItemIndex.build(np.array(codes), sizes)


@pytest.mark.parametrize("leaf", [-1, 2])
def test_leaf_outside_is_refused(leaf):
    index, _ = ItemIndex.build(np.array([[0], [1]]), [2])
    with pytest.raises(ItemIndexError, match=r"\[0, 2\)"):
        index.path(leaf)


def shorten(directory):
    np.save(directory / "code1.npy", np.load(directory / "code1.npy")[:-1])


def overlap(directory):
    child = np.load(directory / "first_child1.npy")
    child[1] = 0
    np.save(directory / "first_child1.npy", child)


def swap(directory):
    code = np.load(directory / "code0.npy")
    np.save(directory / "code0.npy", code[::-1].copy())


def exceed(directory):
    code = np.load(directory / "code1.npy")
    code[-1] = 3
    np.save(directory / "code1.npy", code)


def widen(directory):
    np.save(directory / "code1.npy", np.load(directory / "code1.npy").astype(np.int64))


def cut(directory):
    content = (directory / "code1.npy").read_bytes()
    (directory / "code1.npy").write_bytes(content[:-3])


def lose(directory):
    (directory / "first_child0.npy").unlink()


def pickled(directory):
    np.save(directory / "code0.npy", np.array([{"not": "numbers"}]), allow_pickle=True)


def garble(directory):
    (directory / "index.json").write_text("{")


def modernise(directory):
    description = json.loads((directory / "index.json").read_text())
    (directory / "index.json").write_text(json.dumps(description | {"format": 99}))


DAMAGES = [shorten, overlap, swap, exceed, widen, cut, lose, pickled, garble, modernise]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_noticed_on_opening(tmp_path, damage):
    index, _ = ItemIndex.build(np.array([[0, 0], [0, 2], [1, 1]]), [3, 3])
    index.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ItemIndexError, match="build it again"):
        ItemIndex.open(tmp_path)
