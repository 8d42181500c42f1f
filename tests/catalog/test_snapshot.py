"""A changing catalog against the plainest one: a dict of records."""

import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.changes import Delete, Upsert
from catalog.data.items import Items
from catalog.errors import CatalogError, ItemsError
from catalog.ids.agreed_paths import NO_PATHS
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import semantic_codes
from catalog.ids.embeddings import HashingEmbedder
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot
from tests.support import world

SIZES = (8, 8)


def shop():
    """The tiny shop as published, and what codes its new items."""
    items = world.items()
    embedder = HashingEmbedder.fit(items.texts(), 16)
    books, codes = semantic_codes(embedder.embed(items.texts()), SIZES, seed=0)
    index, order = ItemIndex.build(codes, SIZES)
    return Snapshot.published(Items(items.table.take(order)), codes[order], index), CodeAssigner(embedder, books)


PUBLISHED, CODER = shop()
KNOWN = list(PUBLISHED.items.ids)

item_ids = st.sampled_from([*KNOWN[:6], *(f"new-{i}" for i in range(8))])
records = st.builds(
    lambda item_id, title, price: {"item_id": item_id, "title": title, "price": price},
    item_ids,
    st.sampled_from(["red tent", "blue rope", "lamp"]),
    st.none() | st.floats(0, 100),
)
changes = st.lists(st.builds(Upsert, records) | st.builds(Delete, item_ids), max_size=8)


def complete(record):
    return dict.fromkeys(PUBLISHED.items.table.column_names) | {"categories": [], "available": True} | record


def all_of(snapshot):
    return (snapshot.items.table.to_pylist(), snapshot.codes_NL.tolist(), snapshot.present_N.tolist(), snapshot.number)


def present(snapshot):
    return {record["item_id"]: record for record, here in zip(*all_of(snapshot)[::2], strict=True) if here}


def check_consistent(snapshot):
    """Row, leaf, path and identifier name the same item, and the index is that of all codes."""
    built, order = ItemIndex.build(snapshot.codes_NL, SIZES)
    assert order.tolist() == list(range(len(snapshot.items)))
    for mine, theirs in zip(
        snapshot.index.code + snapshot.index.first_child, built.code + built.first_child, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    for row, item_id in enumerate(snapshot.items.ids):
        assert snapshot.items.row_of(item_id) == row
        assert snapshot.index.leaf(snapshot.codes_NL[row].tolist()) == row
    assert len(snapshot.present_N) == len(snapshot.items) == len(snapshot.codes_NL) == len(set(snapshot.serial_N))


@given(st.lists(changes, max_size=5))
def test_any_changes_leave_what_a_dict_of_records_has(batches):
    snapshot, oracle, states = PUBLISHED, present(PUBLISHED), []
    for batch in batches:
        states.append((snapshot, all_of(snapshot)))
        before, snapshot = snapshot, snapshot.apply(batch, CODER)
        for change in batch:
            if isinstance(change, Upsert):
                oracle[change.item_id] = complete(change.record)
            else:
                oracle.pop(change.item_id, None)
        assert present(snapshot) == oracle
        assert snapshot.number == before.number + 1
        check_consistent(snapshot)
        path_of = dict(zip(snapshot.items.ids, snapshot.codes_NL.tolist(), strict=True))
        assert all(path_of[i] == path for i, path in zip(before.items.ids, before.codes_NL.tolist(), strict=True))
        check_outcome(before, batch, snapshot)
    for state, was in states:
        assert all_of(state) == was
        check_consistent(state)


def check_outcome(before, batch, after):
    last = {change.item_id: change for change in batch}
    written = {item_id for item_id, change in last.items() if isinstance(change, Upsert)}
    outcome, had = after.outcome, set(before.items.ids)
    assert set(outcome.inserted) == written - had
    assert set(outcome.replaced) == written & had
    assert set(outcome.deleted) == (last.keys() - written) & present(before).keys()
    assert set(outcome.missing) == (last.keys() - written) - present(before).keys()
    moved = range(len(before.items)) if outcome.moved_N is None else outcome.moved_N.tolist()
    assert [after.items.ids[leaf] for leaf in moved] == before.items.ids
    assert (outcome.moved_N is not None) == bool(outcome.inserted)


def test_an_item_keeps_its_serial_number_whatever_comes_between():
    published = dict(zip(PUBLISHED.items.ids, PUBLISHED.serial_N.tolist(), strict=True))
    assert list(published.values()) == list(range(len(PUBLISHED.items)))
    snapshot, numbers = PUBLISHED, published
    for title in ("red tent", "blue rope", "lamp"):
        PUBLISHED.upsert([complete({"item_id": "unused", "title": title})], CODER)  # comes to nothing
        snapshot = snapshot.upsert([complete({"item_id": f"new {title}", "title": title})], CODER).delete(["tent-red"])
        before, numbers = numbers, dict(zip(snapshot.items.ids, snapshot.serial_N.tolist(), strict=True))
        assert before.items() <= numbers.items()
        assert numbers[f"new {title}"] > max(before.values())


def test_a_deletion_shares_everything_else():
    after = PUBLISHED.delete([KNOWN[3], "nobody", KNOWN[3]])
    assert not after.present_N[3]
    assert after.items is PUBLISHED.items
    assert after.codes_NL is PUBLISHED.codes_NL
    assert after.index is PUBLISHED.index
    assert (after.outcome.deleted, after.outcome.missing) == ((KNOWN[3],), ("nobody",))


def test_a_deleted_item_comes_back_on_its_path_with_its_new_record():
    gone = PUBLISHED.delete([KNOWN[3]])
    back = gone.upsert([{"item_id": KNOWN[3], "title": "something else entirely"}])
    assert back.present_N.all()
    assert back.items.title(3) == "something else entirely"
    assert back.index is PUBLISHED.index
    assert gone.delete([KNOWN[3]]).outcome.missing == (KNOWN[3],)


def test_a_new_item_stands_among_its_like():
    after = PUBLISHED.upsert([{"item_id": "tent-pink", "title": "pink tent", "categories": ["outdoor", "tent"]}], CODER)
    leaf = after.items.row_of("tent-pink")
    like = [i for i, path in zip(after.items.ids, after.codes_NL, strict=True) if path[0] == after.codes_NL[leaf, 0]]
    assert len(like) > 1
    assert all(item_id.startswith("tent") for item_id in like)


def test_nothing_can_be_written_in_place():
    for snapshot in (PUBLISHED, PUBLISHED.apply([Upsert({"item_id": "new-0"}), Delete(KNOWN[0])], CODER)):
        for array in (snapshot.present_N, snapshot.codes_NL):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_columns_stay_in_one_piece():
    after = PUBLISHED
    for i in range(4):
        after = after.upsert([{"item_id": f"new-{i}"}, {"item_id": KNOWN[i]}], CODER)
    assert all(column.num_chunks == 1 for column in after.items.table.columns)


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ({"item_id": "x", "price": "cheap"}, ItemsError, "price that is no number"),
        ({"item_id": "x", "colour": "red"}, ItemsError, "colour"),
        ({"title": "nameless"}, ItemsError, "change 2 has the item_id None"),
    ],
)
def test_one_bad_record_and_nothing_changes(bad, error, said):
    was = all_of(PUBLISHED)
    with pytest.raises(error, match=said):
        PUBLISHED.upsert([{"item_id": "good"}, bad], CODER)
    assert all_of(PUBLISHED) == was


def test_without_a_coder_only_new_items_are_refused():
    assert PUBLISHED.upsert([{"item_id": KNOWN[0], "title": "new title"}]).items.title(0) == "new title"
    with pytest.raises(CatalogError, match=r"'new-0'.*identifiers.text=hashing"):
        PUBLISHED.upsert([{"item_id": "new-0"}])


def test_parts_of_different_catalogs_are_refused():
    with pytest.raises(CatalogError, match="29 codes"):
        Snapshot.published(PUBLISHED.items, PUBLISHED.codes_NL[1:], PUBLISHED.index)


def test_readers_of_an_old_snapshot_are_not_disturbed():
    expected = {item_id: row for row, item_id in enumerate(KNOWN)}
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            found = {item_id: PUBLISHED.items.row_of(item_id) for item_id in KNOWN}
            strange = [PUBLISHED.items.row_of(f"fresh-{i}") for i in range(10)]
            if found != expected or strange != [None] * 10 or not PUBLISHED.present_N.all():
                wrong.append((found, strange))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    snapshot = PUBLISHED
    for i in range(10):
        snapshot = snapshot.apply([Upsert({"item_id": f"fresh-{i}"}), Delete(KNOWN[i])], CODER)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert snapshot.present_N.sum() == len(KNOWN)


def test_a_table_of_several_pieces_is_changed_alike():
    pieces = pa.concat_tables([PUBLISHED.items.table.slice(0, 7), PUBLISHED.items.table.slice(7)])
    split = Snapshot.published(Items(pieces), PUBLISHED.codes_NL, PUBLISHED.index)
    batch = [Upsert({"item_id": "new-0", "title": "red tent"}), Upsert({"item_id": KNOWN[7]}), Delete(KNOWN[8])]
    assert all_of(split.apply(batch, CODER)) == all_of(PUBLISHED.apply(batch, CODER))


def test_new_items_take_the_paths_that_were_agreed_on_and_leave_others_theirs():
    record = {"item_id": "a", "title": "red tent"}
    usual = PUBLISHED.upsert([record], CODER).path_of("a")
    agreed = NO_PATHS.joined_by({"b": usual})
    changed = PUBLISHED.apply([Upsert(record), Upsert({"item_id": "b", "title": "lamp"})], CODER, agreed)
    assert changed.path_of("b") == usual != changed.path_of("a")
    elsewhere = PUBLISHED.apply([Upsert(record)], CODER, NO_PATHS.joined_by({}, [usual]))
    assert elsewhere.path_of("a") != usual
    check_consistent(changed)
    assert PUBLISHED.apply([Upsert(record)], None, NO_PATHS.joined_by({"a": usual})).path_of("a") == usual


@pytest.mark.parametrize("path", [PUBLISHED.path_of(KNOWN[0]), (8, 0), (0,), (-1, 0)])
def test_an_agreed_path_that_is_none_of_this_catalog_is_told(path):
    with pytest.raises(CatalogError, match=r"that servers agreed on for 'a'.*same bundle"):
        PUBLISHED.apply([Upsert({"item_id": "a", "title": "lamp"})], CODER, NO_PATHS.joined_by({"a": path}))


def test_a_deletion_with_a_record_leaves_the_row_that_the_item_would_have_had():
    record = {"item_id": "a", "title": "red tent"}
    lived, replayed = PUBLISHED.upsert([record], CODER).delete(["a"]), PUBLISHED.apply([Delete("a", record)], CODER)
    assert all_of(replayed)[:3] == all_of(lived)[:3]
    assert "a" not in present(replayed)
