"""Warm start: training goes on from the weights, codebooks and identifiers of a published bundle.

Items that the bundle knows keep their identifiers. New items get free ones from the bundle's embedder and codebooks, as
a running server would give them. Items that are gone are left out, and their identifiers are free again. With atomic
identifiers a new item would need a new token, so it is an error that says to train from scratch.

N items, L levels.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.folder import current_bundle
from catalog.data.items import Items, write_items
from catalog.ids.index import ItemIndex
from catalog.text.prompts import MARKERS
from trainer.config.recipe import Recipe, complete_recipe
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line
from trainer.model.backbone import Backbone, load_backbone

CURRENT = "current"
KEPT = {
    "backbone": ("path", "hidden", "layers", "heads", "vocabulary"),
    "identifiers": ("scheme", "code_sizes"),
    "prompt": ("instruction", "max_history", "history_block", "max_query_tokens", "history_queries"),
}
"""The settings that a warm start cannot change, because a bundle's weights and identifiers were made for them."""


def open_start(named: str, bundles: Path) -> Bundle:
    """Opens the bundle to start from.

    named: the bundle's folder, or "current" for the current one of `bundles`.

    Raises BundleError if there is no such bundle or it is damaged.
    """
    return open_bundle(current_bundle(bundles) if named == CURRENT else Path(named))


def check_fits(recipe: Recipe, start: Bundle) -> None:
    """Raises TrainerError if the recipe has another value for a setting that a warm start keeps."""
    own = settings_of(start)
    for section, names in KEPT.items():
        for name in names:
            given = getattr(getattr(recipe, section), name)
            kept = getattr(getattr(own, section), name)
            if given != kept:
                raise TrainerError(
                    f"{section}.{name} is {given!r} and {start.version} was trained with {kept!r}, which a warm start"
                    " keeps: leave --recipe out to go on with the bundle's own settings, or train from scratch"
                )


def settings_of(start: Bundle, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of the run that made the bundle, with `section.key=value` overrides applied.

    Raises TrainerError for a wrong override, or settings of another version.
    """
    return complete_recipe(deepcopy(start.manifest.settings), overrides, f"{start.path}/manifest.json")


def keep_identifiers(start: Bundle, items: Items, directory: Path) -> None:
    """Gives these items the bundle's identifiers, and writes the files that `Identifiers.save` writes to `directory`.

    Raises TrainerError if the bundle knows none of the items, and CatalogError if new ones cannot be coded.
    """
    codes_NL = _codes(start, items)
    index, order_N = ItemIndex.build(codes_NL, start.manifest.code_sizes)
    directory.mkdir(parents=True, exist_ok=True)
    write_items(items.table.take(order_N), directory / "items.parquet")
    np.save(directory / "codes.npy", codes_NL[order_N], allow_pickle=False)
    index.save(directory / "index")
    for name in ("embedder.npz", "codebooks.npz"):
        shutil.copy(start.catalog_dir / name, directory / name)


def start_backbone(start: Bundle, recipe: Recipe) -> Backbone:
    """Loads the bundle's model and tokenizer, which have their item tokens already."""
    backbone = load_backbone(str(start.model_dir), recipe.backbone)
    backbone.name = start.manifest.base_model
    backbone.text_rows = int(backbone.tokenizer.convert_tokens_to_ids(MARKERS[0]))
    return backbone


def _codes(start: Bundle, items: Items) -> np.ndarray:
    """The codes of all items, int64 [N, L], in the order of `items`."""
    rows = [start.items.row_of(item_id) for item_id in items.ids]
    known = [place for place, row in enumerate(rows) if row is not None]
    new = [place for place, row in enumerate(rows) if row is None]
    if not known:
        raise TrainerError(f"{start.version} knows none of the {len(items)} items: train from scratch")
    codes_NL = np.empty((len(items), start.codes_NL.shape[1]), np.int64)
    codes_NL[known] = start.codes_NL[[row for row in rows if row is not None]]
    if new:
        index, _ = ItemIndex.build(codes_NL[known], start.manifest.code_sizes)
        with threadpool_limits(1):  # see trainer/model/semantic_ids.py
            codes_NL[new] = start.code_assigner.assign(Items(items.table.take(new)).texts(), index)
    gone = len(start.items) - len(known)
    print_line(
        f"warm start from {start.version}: {len(known)} items keep their identifiers, {len(new)} are new, {gone} gone"
    )
    return codes_NL
