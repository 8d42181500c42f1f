"""A training run from files to bundle. What takes long is left in the workspace, so a resumed run skips it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from catalog.bundle.bundle import Bundle
from catalog.bundle.manifest import MANIFEST, events_names
from catalog.data.erasure import ERASED, read_kept_events, tombstone_files
from catalog.data.events import drop_unknown_items
from catalog.data.items import Items, read_items
from catalog.ids.codes import Codebooks
from catalog.ids.index import ItemIndex
from catalog.text.prompts import PromptFormat, PromptSettings, level_token_ids
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.batches import Batches
from trainer.data.corpus import read_corpus
from trainer.data.histories import SPLITS, Histories, Split
from trainer.distributed.fsdp import check_sharding, evaluation_device, gather_weights, shard_model
from trainer.distributed.group import CPU, SINGLE_PROCESS, ProcessGroup
from trainer.evaluation import Protocol, Report, evaluate, with_protocol
from trainer.methods import create_method
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
from trainer.model.warm_start import check_fits, keep_identifiers, start_backbone
from trainer.runtime.loop import train
from trainer.runtime.publish import keep_reports, publish_run
from trainer.runtime.workspace import Workspace, open_workspace


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training needs of the data, everything numbered by leaf."""

    items: Items
    codes_NL: np.ndarray
    index: ItemIndex
    codebooks: Codebooks
    split: Split
    erased: int  # events of erased users, which were left out

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.index.sizes


def run(
    items: Path,
    events: Path | Sequence[Path],
    out: Path,
    recipe: Recipe,
    *,
    resume: bool,
    group: ProcessGroup = SINGLE_PROCESS,
    start: Bundle | None = None,
    make_current: bool = True,
    erased: Path | None = None,
) -> Path:
    """The whole run; returns the published bundle, or the folder of reports where the method allows none.

    events: one file, or several that are merged.
    start: the bundle to go on from (`trainer/model/warm_start.py`).
    make_current: whether servers shall load the result.
    erased: tombstones that count beside those which stand next to the events (`catalog/data/erasure.py`).
    Of several processes the first makes what they then read from the workspace; all train; it evaluates and publishes.
    Raises TrainerError or CatalogError.
    """
    check_sharding(recipe, group)
    files = [events] if isinstance(events, Path) else list(events)
    if len({file.resolve() for file in files}) < len(files):
        raise TrainerError(f"a file of events is named twice: {', '.join(map(str, files))}; name each once")
    tombstones = tombstone_files(files, erased)
    read = [items, *files, *tombstones]
    if start is not None:
        check_fits(recipe, start)
        read.append(start.path / MANIFEST)
    first = group.rank == 0
    inputs = {"items": items} | dict(zip(events_names(len(files)), files, strict=True))
    inputs |= {f"tombstones_{number}": file for number, file in enumerate(tombstones, start=1)}
    with ExitStack() as held:
        workspace = group.rank0_first(
            lambda: held.enter_context(open_workspace(out, recipe, read, resume=resume, first=first))
        )
        prepared = group.rank0_first(lambda: _prepare(items, files, tombstones, recipe, workspace, start))
        return _run_in(workspace, prepared, inputs, out, recipe, group, start, make_current)


def _run_in(
    workspace: Workspace,
    prepared: Prepared,
    inputs: dict[str, Path],
    out: Path,
    recipe: Recipe,
    group: ProcessGroup,
    start: Bundle | None,
    make_current: bool,
) -> Path:
    documents = _documents(recipe, prepared.items)
    device = CPU if recipe.training.shard else group.device
    backbone = group.rank0_first(lambda: _backbone(recipe, prepared, documents, workspace, device, start))
    if recipe.training.shard:
        shard_model(backbone.model, group)
    tokens = level_token_ids(backbone.text_tokenizer, prepared.sizes)
    prompts = PromptFormat(backbone.text_tokenizer, prepared.codes_NL, tokens, _prompt_settings(recipe, backbone))
    level_tokens = [torch.from_numpy(ids).to(backbone.model.device) for ids in tokens]
    method = create_method(backbone, recipe, documents, workspace.root / "null_spaces", group)
    if method.unservable_reason is not None:
        print_line(f"{recipe.method} cannot be served: {method.unservable_reason}. The run ends without a bundle")
    batches = Batches(
        prepared.split.train,
        prepared.items,
        prepared.codes_NL,
        prompts,
        recipe.training,
        seq2seq=backbone.is_seq2seq,
        pad=int(backbone.tokenizer.pad_token_id or 0),
        seed=recipe.seed,
        group=group,
    )
    kept = (workspace.checkpoint, workspace.step_log)
    train(backbone, method, batches, level_tokens, recipe.training, *kept, seed=recipe.seed, group=group)
    method.finish()
    weights = gather_weights(backbone.model, group) if recipe.training.shard else {}

    def publish() -> Path:
        tuned = _in_one_piece(backbone, weights, recipe, workspace, group.device) if weights else backbone
        report_by = partial(_evaluate, tuned, prepared, tokens, prompts, recipe)
        if method.unservable_reason is None:
            prompts.settings.save(workspace.catalog / "prompt.json")
            result = publish_run(
                out,
                tuned,
                workspace,
                prepared.split.train,
                report_by("full"),
                recipe,
                prepared.sizes,
                inputs,
                warm_start=None if start is None else start.version,
                make_current=make_current,
                events_erased=prepared.erased,
            )
            print_line(f"published {result}")
        else:  # nothing will be left to evaluate later
            reports = {"report": report_by("full"), "report-candidates": report_by("candidates")}
            result = keep_reports(out, reports, workspace.step_log, recipe)
            print_line(f"no bundle is published: {recipe.method} cannot be served. Its reports are in {result}")
        workspace.remove()
        return result

    return group.on_rank0(publish)


def _prepare(
    items_file: Path,
    events_files: Sequence[Path],
    tombstones: Sequence[Path],
    recipe: Recipe,
    workspace: Workspace,
    start: Bundle | None,
) -> Prepared:
    events, met = read_kept_events(events_files, tombstones)
    workspace.check_inputs()
    split_of = SPLITS[recipe.evaluation.split]

    def fill(draft: Path) -> None:
        items = Items(read_items(items_file))
        workspace.check_inputs()
        if start is not None:
            keep_identifiers(start, items, draft)
            return
        train_histories = split_of(Histories.from_events(events, items)).train
        vectors = _backbone_vectors(recipe) if recipe.identifiers.text == "backbone" else None
        identify(items, train_histories, recipe.identifiers, seed=recipe.seed, backbone_vectors=vectors).save(draft)

    workspace.stage(workspace.catalog, fill)
    items = Items(read_items(workspace.catalog / "items.parquet"))
    events = drop_unknown_items(events, items.table["item_id"], met, fault=False)
    print_line(str(met))
    codes_NL = np.load(workspace.catalog / "codes.npy", allow_pickle=False)
    split = split_of(Histories.from_events(events, items))
    index = ItemIndex.open(workspace.catalog / "index")
    print_line(
        f"{len(items)} items as {'×'.join(map(str, index.sizes))} codes; {len(split.full)} events of "
        f"{len(split.full.users)} users, {len(split.test)} held out for the test"
    )
    codebooks = Codebooks.open(workspace.catalog / "codebooks.npz")
    erased = met.omissions[ERASED].count if ERASED in met.omissions else 0
    return Prepared(items, codes_NL, index, codebooks, split, erased)


def _backbone_vectors(recipe: Recipe) -> Callable[[Sequence[str]], np.ndarray]:
    if recipe.backbone.path is None:
        raise TrainerError("identifiers.text=backbone needs a pretrained backbone.path: a fresh base knows no words")
    backbone = load_backbone(recipe.backbone.path, recipe.backbone)
    return lambda texts: text_vectors(backbone, texts)


def _documents(recipe: Recipe, items: Items) -> list[str]:
    """General text to pretrain on and to protect: the named corpus, or what the catalog itself says."""
    corpus = recipe.null_space.corpus
    return read_corpus(Path(corpus)) if corpus else items.texts()


def _backbone(
    recipe: Recipe,
    prepared: Prepared,
    documents: Sequence[str],
    workspace: Workspace,
    device: torch.device,
    start: Bundle | None,
) -> Backbone:
    if start is not None:
        backbone = start_backbone(start, recipe)
    elif recipe.backbone.path is not None:
        backbone = load_backbone(recipe.backbone.path, recipe.backbone)
        add_item_tokens(backbone, prepared.codebooks, seed=recipe.seed)
    else:
        workspace.stage(workspace.base, lambda draft: _build(recipe, prepared, documents).save(draft))
        backbone = reload_base(workspace.base, recipe.backbone)
    backbone.model.to(device)
    millions = sum(p.numel() for p in backbone.model.parameters()) / 1e6
    print_line(f"backbone {backbone.name}: {millions:.1f} M parameters on {backbone.model.device}")
    return backbone


def _in_one_piece(
    backbone: Backbone, weights: dict[str, torch.Tensor], recipe: Recipe, workspace: Workspace, device: torch.device
) -> Backbone:
    """A backbone that was sharded, as the plain model of these weights, on a device that has room for it."""
    workspace.stage(workspace.tuned, lambda draft: backbone.save(draft, weights))
    whole = replace(backbone, model=load_backbone(str(workspace.tuned), recipe.backbone).model)
    chosen = evaluation_device(weights, device)
    print_line(f"the tuned model is evaluated on {chosen}")
    whole.model.to(chosen)
    return whole


def _build(recipe: Recipe, prepared: Prepared, documents: Sequence[str]) -> Backbone:
    texts = [*prepared.items.texts(), *prepared.split.train.texts, *documents]
    positions = recipe.prompt.max_positions(len(prepared.sizes))
    backbone = build_backbone(recipe.backbone, texts, positions, seed=recipe.seed)
    if recipe.backbone.pretrain_steps:
        with progress("pretraining", recipe.backbone.pretrain_steps) as shown:
            for loss in pretrain(backbone, documents, recipe.backbone, seed=recipe.seed):
                shown.advance(1, loss=loss)
    add_item_tokens(backbone, prepared.codebooks, seed=recipe.seed)
    return backbone


def _prompt_settings(recipe: Recipe, backbone: Backbone) -> PromptSettings:
    terminator = backbone.tokenizer.eos_token if backbone.is_seq2seq else None
    return PromptSettings(**recipe.prompt.model_dump(), terminator=terminator)


def _evaluate(
    backbone: Backbone,
    prepared: Prepared,
    tokens: Sequence[np.ndarray],
    prompts: PromptFormat,
    recipe: Recipe,
    protocol: Protocol,
) -> Report:
    with progress("evaluating", len(prepared.split.test)) as shown:
        return evaluate(
            backbone.model,
            prepared.index,
            tokens,
            prompts,
            prepared.items,
            prepared.split,
            with_protocol(recipe.evaluation, protocol),
            protocol=protocol,
            progress=shown.advance,
        )
