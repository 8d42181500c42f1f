"""The stages before training: the data with its identifiers, and the backbone with its item tokens.

What takes long is kept in the workspace, so a resumed run reads it instead of making it again.

N items, L levels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from catalog.bundle.bundle import Bundle
from catalog.bundle.manifest import MANIFEST, events_names
from catalog.data.items import Items, read_items
from catalog.data.tombstones import tombstone_files
from catalog.ids.codes import Codebooks
from catalog.ids.index import ItemIndex
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.corpus import read_corpus
from trainer.data.prepared import prepares_on_disk
from trainer.data.questions import Split
from trainer.distributed.group import CPU
from trainer.model.backbone import (
    Backbone,
    add_item_tokens,
    build_backbone,
    load_backbone,
    pretrain,
    reload_base,
    text_vectors,
)
from trainer.model.semantic_ids import identify
from trainer.model.warm_start import keep_identifiers, start_backbone
from trainer.runtime.prepared_split import PreparedSplit
from trainer.runtime.read_split import ReadSplit
from trainer.runtime.workspace import Workspace

__all__ = ["InputFiles", "TrainingData", "general_text", "prepare_backbone", "prepare_data"]


@dataclass(frozen=True, slots=True)
class InputFiles:
    """The files that a run reads.

    events: files of events, which are merged.
    tombstones: files that name erased users, whose events are left out.
    """

    items: Path
    events: Sequence[Path]
    tombstones: Sequence[Path]

    @classmethod
    def of(cls, items: Path, events: Path | Sequence[Path], erased: Path | None) -> InputFiles:
        """The input files of a run, with the tombstones beside each file of events and those in `erased`.

        Raises TrainerError for a file of events that is named twice, and EventsError where `erased` does not exist.
        """
        files = [events] if isinstance(events, Path) else list(events)
        if len({os.path.realpath(file) for file in files}) < len(files):
            raise TrainerError(f"a file of events is named twice: {', '.join(map(str, files))}; name each once")
        return cls(items, files, tombstone_files(files, erased))

    def all(self, start: Bundle | None) -> list[Path]:
        """Every file on which the result depends, with the manifest of the bundle that the run starts from, if any."""
        return [self.items, *self.events, *self.tombstones, *([] if start is None else [start.path / MANIFEST])]

    def by_name(self) -> dict[str, Path]:
        """The files under the names that a manifest has for them."""
        events = dict(zip(events_names(len(self.events)), self.events, strict=True))
        tombstones = {f"tombstones_{number}": file for number, file in enumerate(self.tombstones, start=1)}
        return {"items": self.items} | events | tombstones


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run trains and evaluates on.

    items: the catalog, in leaf order.
    codes_NL: the codes of its items, int64.
    index: the index of the codes.
    codebooks: the centroids of every level's codes.
    split: the histories, and the questions that are held out of them.
    erased: how many events were left out because their users were erased.
    """

    items: Items
    codes_NL: np.ndarray
    index: ItemIndex
    codebooks: Codebooks
    split: Split
    erased: int


def prepare_data(
    files: InputFiles, recipe: Recipe, workspace: Workspace, start: Bundle | None, device: torch.device = CPU
) -> TrainingData:
    """Reads the input files, and gives every item an identifier, unless the workspace has the identifiers already.

    start: the bundle to start from, whose identifiers are kept; None to start from scratch.
    device: where the backbone reads the items' texts, if identifiers are made of its vectors.

    Raises TrainerError for files that do not fit together or that change while they are read, and CatalogError for
    damaged ones.
    """

    @cache
    def file_items() -> Items:
        notes: list[str] = []
        items = Items(read_items(files.items, notes))
        workspace.check_inputs()
        for note in notes:
            print_line(f"{files.items}: {note}")
        return items

    on_disk = prepares_on_disk(files.events, recipe.events.on_disk)
    events = (PreparedSplit if on_disk else ReadSplit)(files.events, files.tombstones, file_items, recipe, workspace)

    def fill(draft: Path) -> None:
        if start is not None:
            keep_identifiers(start, file_items(), draft)
            return
        items, train = file_items(), events.of_file().train
        vectors = _backbone_vectors(recipe, device) if recipe.identifiers.text == "backbone" else None
        identify(items, train, recipe.identifiers, seed=recipe.seed, backbone_vectors=vectors).save(draft)

    workspace.stage(workspace.catalog, fill)
    items = Items(read_items(workspace.catalog / "items.parquet"))
    split = events.of_catalog(items)
    print_line(events.report)
    data = TrainingData(
        items,
        np.load(workspace.catalog / "codes.npy", allow_pickle=False),
        ItemIndex.open(workspace.catalog / "index"),
        Codebooks.open(workspace.catalog / "codebooks.npz"),
        split,
        events.erased,
    )
    histories = data.split.full
    print_line(
        f"{len(items)} items as {'×'.join(map(str, data.index.sizes))} codes; {len(histories)} events of "
        f"{len(histories.users)} users, {len(data.split.test)} held out for the test"
    )
    return data


def general_text(recipe: Recipe, items: Items) -> list[str]:
    """Documents to pretrain on and to protect: the corpus that the recipe names, or else the items' own texts."""
    corpus = recipe.null_space.corpus
    return read_corpus(Path(corpus)) if corpus else items.texts()


def prepare_backbone(
    recipe: Recipe,
    data: TrainingData,
    documents: Sequence[str],
    workspace: Workspace,
    device: torch.device,
    start: Bundle | None,
) -> Backbone:
    """The model to train, with item tokens: the start bundle's, the recipe's checkpoint, or a base that is built.

    documents: general text, on which a built base is pretrained.
    device: the device that the model is moved to.
    start: the bundle to start from; None to start from scratch.

    Raises TrainerError if the model cannot be loaded or built.
    """
    if start is not None:
        backbone = start_backbone(start, recipe)
    elif recipe.backbone.path is not None:
        backbone = load_backbone(recipe.backbone.path, recipe.backbone)
        add_item_tokens(backbone, data.codebooks, seed=recipe.seed)
    else:
        workspace.stage(workspace.base, lambda draft: _build(recipe, data, documents).save(draft))
        backbone = reload_base(workspace.base, recipe.backbone)
    backbone.model.to(device)
    millions = sum(p.numel() for p in backbone.model.parameters()) / 1e6
    print_line(f"backbone {backbone.name}: {millions:.1f} M parameters on {backbone.model.device}")
    return backbone


def _backbone_vectors(recipe: Recipe, device: torch.device) -> Callable[[Sequence[str]], np.ndarray]:
    if recipe.backbone.path is None:
        raise TrainerError("identifiers.text=backbone needs a pretrained backbone.path: a fresh base knows no words")
    backbone = load_backbone(recipe.backbone.path, recipe.backbone)
    backbone.model.to(device)
    return lambda texts: text_vectors(backbone, texts)


def _build(recipe: Recipe, data: TrainingData, documents: Sequence[str]) -> Backbone:
    texts = [*data.items.texts(), *data.split.train.texts, *documents]
    positions = recipe.prompt.max_positions(len(data.index.sizes))
    backbone = build_backbone(recipe.backbone, texts, positions, seed=recipe.seed)
    if recipe.backbone.pretrain_steps:
        with progress("pretraining", recipe.backbone.pretrain_steps) as shown:
            for loss in pretrain(backbone, documents, recipe.backbone, seed=recipe.seed):
                shown.advance(1, loss=loss)
    add_item_tokens(backbone, data.codebooks, seed=recipe.seed)
    return backbone
