"""Bundles: immutable directories with weights, tokenizer, items, codes and index.

A bundle's `manifest.json` holds the SHA-256 of every file and of itself; `open_bundle` refuses files that do not match
and files that are not listed. How a folder of bundles is written is in folder.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from tokenizers import Tokenizer

from catalog.bundle.disk import remedy
from catalog.bundle.golden import GoldenQueries
from catalog.bundle.manifest import MANIFEST, Manifest, read_manifest, sha256_of
from catalog.data.event_weights import EventWeights
from catalog.data.items import Items, read_items
from catalog.errors import BundleError, CatalogError
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import Codebooks
from catalog.ids.index import ItemIndex
from catalog.search.calibration import UNCALIBRATED, TaskCalibration, open_calibrations
from catalog.snapshot import Snapshot
from catalog.suggestions import TypedQueries
from catalog.text.prompts import PromptFormat, PromptSettings, Task, level_token_ids
from catalog.text.query_terms import TypedWords

if TYPE_CHECKING:
    from catalog.ids.embeddings import JoinedEmbedder
    from catalog.priors.priors import Priors
    from catalog.priors.weights import PriorWeights

_CODE_NEW_ITEMS = "train again with identifiers.scheme=semantic and identifiers.text=hashing"


class Bundle:
    """An opened bundle, whose parts are loaded when they are first used."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def version(self) -> str:
        """The bundle's name, which is its directory's."""
        return self.manifest.version

    @property
    def model_dir(self) -> Path:
        """A Hugging Face checkpoint with its tokenizer."""
        return self.path / "model"

    @property
    def catalog_dir(self) -> Path:
        """The files of the catalog."""
        return self.path / "catalog"

    @property
    def index_dir(self) -> Path:
        """The saved item index."""
        return self.catalog_dir / "index"

    @cached_property
    def items(self) -> Items:
        """The items as published, in the order of leaves."""
        return Items(read_items(self.catalog_dir / "items.parquet"))

    @cached_property
    def index(self) -> ItemIndex:
        """The index of all items' codes."""
        return ItemIndex.open(self.index_dir)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, with a token for every code."""
        return Tokenizer.from_file(str(self.model_dir / "tokenizer.json"))

    @cached_property
    def level_tokens(self) -> tuple[np.ndarray, ...]:
        """For every level, the vocabulary ids of its codes, int64 [size of the level]."""
        return level_token_ids(self.tokenizer, self.manifest.code_sizes)

    @property
    def normalize(self) -> Literal["codes", "children"]:
        """What the probabilities of a level sum to one over."""
        return self.manifest.normalize

    @cached_property
    def codes_NL(self) -> np.ndarray:
        """The codes of every leaf, int64 [items, levels]."""
        codes: np.ndarray = np.load(self.catalog_dir / "codes.npy", allow_pickle=False)
        return codes

    @cached_property
    def prompts(self) -> PromptFormat:
        """Renders prompts as the model was trained on them."""
        settings = PromptSettings.open(self.catalog_dir / "prompt.json")
        return PromptFormat(self.tokenizer, self.codes_NL, self.level_tokens, settings)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The catalog as published, from which every change makes a new snapshot."""
        return Snapshot.published(self.items, self.codes_NL, self.index)

    @cached_property
    def codebooks(self) -> Codebooks:
        """The codebooks of semantic identifiers."""
        return Codebooks.open(self.catalog_dir / "codebooks.npz")

    @cached_property
    def embedder(self) -> JoinedEmbedder:
        """Embeds the text of new items; its libraries take seconds to import. Raises CatalogError if there is none."""
        from catalog.ids.embeddings import JoinedEmbedder

        file = self.catalog_dir / "embedder.npz"
        if not file.is_file():
            raise CatalogError(f"{file} does not exist, so new items cannot be coded: {_CODE_NEW_ITEMS}")
        return JoinedEmbedder.open(file)

    @cached_property
    def code_assigner(self) -> CodeAssigner:
        """Gives new items their codes. Raises CatalogError if this bundle cannot, with what to train instead."""
        if self.manifest.identifiers == "atomic":
            raise CatalogError(
                f"{self.path} has atomic identifiers, where a new item would need a new token: {_CODE_NEW_ITEMS}"
            )
        return CodeAssigner(self.embedder, self.codebooks)

    @cached_property
    def golden(self) -> GoldenQueries | None:
        """Queries with known results; None in bundles that were published without them."""
        file = self.catalog_dir / "golden.json"
        return GoldenQueries.open(file) if file.is_file() else None

    @cached_property
    def typed_words(self) -> TypedWords:
        """Words that several people typed; empty for bundles that were published without them."""
        file = self.catalog_dir / "typed_words.json"
        return TypedWords.open(file) if file.is_file() else TypedWords()

    @cached_property
    def typed_queries(self) -> TypedQueries:
        """Queries that several people typed; empty for bundles that were published without them."""
        file = self.catalog_dir / "typed_queries.json"
        return TypedQueries.open(file) if file.is_file() else TypedQueries()

    @cached_property
    def event_weights(self) -> EventWeights:
        """What events count, as its recipe says."""
        return EventWeights.of_settings(self.manifest.settings)

    @property
    def has_priors(self) -> bool:
        """Whether it was published with what events teach, as older bundles were not."""
        return (self.catalog_dir / "priors").is_dir()

    @cached_property
    def priors(self) -> Priors:
        """What the catalog knows without the model; words alone in bundles that were published without the rest.

        Its libraries and the words of a large catalog take seconds. Raises PriorsError.
        """
        from catalog.priors.learned import open_learned
        from catalog.priors.priors import Priors

        if not self.has_priors:
            return Priors.of_items(self.items)
        learned = open_learned(self.catalog_dir / "priors", len(self.items))
        if learned.until == 0:  # it does not say it
            learned = replace(learned, until=int(1000 * datetime.fromisoformat(self.manifest.created).timestamp()))
        return Priors(self.items, learned)

    @cached_property
    def prior_weights(self) -> Mapping[Task, PriorWeights]:
        """What the priors count for in each task; the usual weights where none were learned. Raises PriorsError."""
        from catalog.priors.weights import USUAL_WEIGHTS, open_weights

        file = self.catalog_dir / "prior_weights.json"
        return open_weights(file) if file.is_file() else USUAL_WEIGHTS

    @cached_property
    def calibrations(self) -> Mapping[Task, TaskCalibration]:
        """How scores of each task become probabilities; without any where none were learned. Raises BundleError."""
        file = self.catalog_dir / "calibration.json"
        return open_calibrations(file) if file.is_file() else UNCALIBRATED


def open_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Open a bundle directory, or a symlink to one.

    verify: compare every file with its SHA-256. Changes after that go unnoticed, because parts are loaded later.
    Raises BundleError that names the file that is missing, changed, not readable, or not the bundle's.
    """
    with readable(path):
        return _open(Path(os.path.realpath(path)), verify=verify)  # which takes a link to itself as it is


def _open(path: Path, *, verify: bool) -> Bundle:
    manifest = read_manifest(path / MANIFEST, verify=verify)
    if verify:
        _refuse_unlisted(path, manifest)
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing: the bundle is incomplete; publish it again or restore the file")
        if not os.access(file, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        if verify and sha256_of(file) != expected:
            raise BundleError(
                f"{file} does not match its SHA-256 in the manifest: it is damaged; restore it or publish again"
            )
    return Bundle(path, manifest)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises BundleError, naming the file, where one cannot be read inside. path: what is read."""
    try:
        yield
    except OSError as error:
        file = path if error.filename is None else error.filename
        raise BundleError(f"{file} cannot be read ({error.strerror}): {remedy(error)}") from error


def _refuse_unlisted(path: Path, manifest: Manifest) -> None:
    for file in path.rglob("*"):
        name = str(file.relative_to(path))
        if not file.is_dir() and name != MANIFEST and name not in manifest.files:
            raise BundleError(f"{file} is not in the manifest: bundles are immutable; remove it")
