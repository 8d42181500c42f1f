import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.folder import activate, current_bundle, publish
from catalog.bundle.manifest import Manifest
from catalog.data.items import Items, write_items
from catalog.errors import BundleError, CatalogError
from catalog.ids.codes import semantic_codes
from catalog.ids.embeddings import HashingEmbedder, JoinedEmbedder
from catalog.ids.index import ItemIndex
from catalog.search.calibration import TaskCalibration
from catalog.text.query_terms import TypedWords
from tests.support import world


def manifest(version="v1"):
    return Manifest(
        version=version,
        created="2026-01-01T00:00:00+00:00",
        engine="vllm",
        method="gems",
        base_model="tiny",
        identifiers="semantic",
        code_sizes=(4, 8),
        prompt_version=1,
        items=30,
    )


def fill(draft):
    (draft / "model").mkdir()
    (draft / "model/config.json").write_text("{}")
    (draft / "notes.txt").write_bytes(b"\0\1\2")


def test_a_published_bundle_is_current_and_opens(tmp_path):
    path = publish(tmp_path / "bundles", manifest(), fill)
    bundle = open_bundle(current_bundle(tmp_path / "bundles"))
    assert bundle.path == path.resolve()
    assert bundle.version == "v1"
    assert set(bundle.manifest.files) == {"model/config.json", "notes.txt"}
    assert sorted(p.name for p in (tmp_path / "bundles").iterdir()) == ["current", "v1"]


def test_a_seal_is_of_what_the_file_says_so_later_fields_do_not_break_it(tmp_path):
    file = publish(tmp_path, manifest(), fill) / "manifest.json"
    older = {name: value for name, value in json.loads(file.read_text()).items() if name not in ("warm_start", "seal")}
    seal = sha256(json.dumps(older, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(older | {"seal": seal}, indent=2))
    assert open_bundle(file.parent).manifest.warm_start is None
    file.write_text(json.dumps(older | {"seal": seal, "items": 31}))
    with pytest.raises(BundleError, match="does not match its own seal"):
        open_bundle(file.parent)


def test_a_failure_while_filling_leaves_nothing_behind(tmp_path):
    publish(tmp_path, manifest("v1"), fill)

    def failing(draft):
        fill(draft)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        publish(tmp_path, manifest("v2"), failing)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "v1"]
    assert current_bundle(tmp_path).name == "v1"


def test_bundles_are_immutable(tmp_path):
    publish(tmp_path, manifest(), fill)
    with pytest.raises(BundleError, match="immutable"):
        publish(tmp_path, manifest(), fill)


@pytest.mark.parametrize("name", ["model/config.json", "notes.txt"])
def test_a_changed_or_missing_file_is_named(tmp_path, name):
    path = publish(tmp_path, manifest(), fill)
    file = path / name
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(BundleError, match=f"{name}.*SHA-256"):
        open_bundle(path)
    file.unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a bundle"),
        ("{", "not valid JSON"),
        ("[]", "schema None"),
        ({"schema_version": 2}, "schema 2"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"version": None}, "version"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(tmp_path, content, message):
    path = publish(tmp_path, manifest(), fill)
    file = path / "manifest.json"
    if content is None:
        file.unlink()
    elif isinstance(content, str):
        file.write_text(content)
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | content))
    with pytest.raises(BundleError, match=message):
        open_bundle(path)


def test_activation_switches_between_whole_bundles(tmp_path):
    publish(tmp_path, manifest("v1"), fill)
    publish(tmp_path, manifest("v2"), fill)
    assert current_bundle(tmp_path).name == "v2"
    activate(tmp_path, "v1")
    assert current_bundle(tmp_path).name == "v1"
    with pytest.raises(BundleError, match="no bundle named v3"):
        activate(tmp_path, "v3")


def test_without_a_current_bundle_the_message_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleError, match="gemserve train … --out"):
        current_bundle(tmp_path)


@pytest.fixture
def bundle(tmp_path):
    """A bundle with all that its catalog needs, and no model."""
    items = world.items()
    text = HashingEmbedder.fit(items.texts(), 16)
    embedder, vectors = JoinedEmbedder.fit(text, items.texts(), np.zeros((len(items), 0), np.float32))
    books, codes = semantic_codes(vectors, (4, 8), seed=0)
    index, order = ItemIndex.build(codes, books.sizes)

    def fill(draft):
        folder = draft / "catalog"
        folder.mkdir()
        write_items(items.table.take(order), folder / "items.parquet")
        np.save(folder / "codes.npy", codes[order])
        index.save(folder / "index")
        embedder.save(folder / "embedder.npz")
        books.save(folder / "codebooks.npz")

    return open_bundle(publish(tmp_path, manifest(), fill))


def test_the_catalog_of_a_bundle_takes_changes(bundle):
    after = bundle.snapshot.upsert([{"item_id": "tent-pink", "title": "pink tent"}], bundle.code_assigner)
    row = after.items.row_of("tent-pink")
    assert after.index.leaf(after.codes_NL[row].tolist()) == row
    assert bundle.snapshot.number == 0
    assert list(bundle.snapshot.items.ids) == list(Items(bundle.items.table).ids)


def test_a_bundle_that_cannot_code_new_items_says_what_to_train(bundle):
    atomic = Bundle(bundle.path, bundle.manifest.model_copy(update={"identifiers": "atomic"}))
    with pytest.raises(CatalogError, match=r"atomic.*identifiers\.text=hashing"):
        _ = atomic.code_assigner
    (bundle.path / "catalog/embedder.npz").unlink()
    with pytest.raises(CatalogError, match=r"embedder\.npz does not exist.*identifiers\.text=hashing"):
        _ = bundle.code_assigner
    assert bundle.snapshot.delete(["tent-red"]).outcome.deleted == ("tent-red",)


def test_a_bundle_of_before_there_were_golden_queries_has_none(bundle):
    assert bundle.golden is None


def test_a_bundle_of_before_typed_words_were_published_has_none(bundle):
    assert bundle.typed_words.people == {}
    assert bundle.typed_queries.queries == ()


def test_a_bundle_of_before_scores_were_calibrated_has_no_calibration(bundle):
    assert bundle.calibrations == {"search": TaskCalibration(), "recommendation": TaskCalibration()}


def test_the_words_that_a_bundle_was_published_with_are_its_own(tmp_path):
    words = TypedWords(people={"pullover": 6})

    def fill(draft):
        (draft / "catalog").mkdir()
        words.save(draft / "catalog/typed_words.json")

    path = publish(tmp_path, manifest(), fill)
    assert open_bundle(path).typed_words == words
    (path / "catalog/typed_words.json").unlink()
    with pytest.raises(BundleError, match=r"typed_words\.json is missing"):
        open_bundle(path)


def test_opening_a_bundle_does_not_wait_for_what_only_training_needs():
    heavy = "import catalog.bundle.bundle, sys; print([m for m in ('sklearn', 'torch', 'transformers') "
    heavy += "if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
