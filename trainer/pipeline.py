"""A training run from files to bundle: prepare the data and the backbone, train, evaluate, publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from catalog.bundle.bundle import Bundle
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import PromptFormat, PromptSettings, level_token_ids
from trainer.config.recipe import Recipe
from trainer.core.progress import print_line, progress
from trainer.data.batches import Batches
from trainer.data.questions import Part, count_questions
from trainer.distributed.fsdp import check_sharding, evaluation_device, gather_weights, shard_model
from trainer.distributed.group import CPU, SINGLE_PROCESS, ProcessGroup
from trainer.evaluation.baselines import TunedBaselines
from trainer.evaluation.guidance import LearnedGuidance, learn_guidance
from trainer.evaluation.report import Protocol, Report, evaluate, with_protocol
from trainer.methods import create_method
from trainer.model.backbone import Backbone, load_backbone
from trainer.model.warm_start import check_fits
from trainer.runtime.joined_events import joined_events
from trainer.runtime.loop import train
from trainer.runtime.nodes import join_nodes
from trainer.runtime.prepare import InputFiles, TrainingData, general_text, prepare_backbone, prepare_data
from trainer.runtime.publish import keep_reports, publish_run
from trainer.runtime.step_log import read_step_log, summary
from trainer.runtime.workspace import Workspace, open_workspace, workspaces_folder

__all__ = ["run"]


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
    """Performs a whole run, and returns the folder of its result.

    That is the published bundle, or a folder of reports if the method leaves no model that can be served.

    items: the file of items.
    events: the file of events, or several that are merged; drained folders and patterns too (`catalog/drained`).
    out: the folder of bundles, which also holds the run's workspace; of several nodes the first gets the bundle.
    recipe: all settings of the run.
    resume: whether to continue an interrupted run of the same recipe and files.
    group: the ranks of the run. Rank 0 prepares what the others then read from the workspace; all of them train; rank 0
        evaluates and publishes.
    start: the bundle to start from (`trainer/model/warm_start.py`); None to start from scratch.
    make_current: whether `current` is to point to the bundle, so that servers load it.
    erased: a file of tombstones to heed beside those next to the files of events (`catalog/data/tombstones.py`).

    Raises TrainerError for settings and files that do not fit, and CatalogError for damaged files.
    """
    check_sharding(recipe, group)
    if start is not None:
        check_fits(recipe, start)
    with ExitStack() as stack:
        group = group.with_disks(group.on_every_rank(lambda: workspaces_folder(out)))
        named = stack.enter_context(joined_events(events, out, group))
        files = group.on_every_rank(lambda: InputFiles.of(items, named, erased))
        opened = open_workspace(out, recipe, files.all(start), resume=resume, owner=group.disks.owned)
        workspace = group.on_every_rank(lambda: stack.enter_context(opened))
        join_nodes(workspace, recipe, group)
        data = group.rank0_first(lambda: prepare_data(files, recipe, workspace, start, group.device), workspace.root)
        return _train_and_publish(workspace, data, files, out, recipe, group, start, make_current)


def _train_and_publish(
    workspace: Workspace,
    data: TrainingData,
    files: InputFiles,
    out: Path,
    recipe: Recipe,
    group: ProcessGroup,
    start: Bundle | None,
    make_current: bool,
) -> Path:
    documents = general_text(recipe, data.items)
    device = CPU if recipe.training.shard else group.device
    backbone = group.rank0_first(
        lambda: prepare_backbone(recipe, data, documents, workspace, device, start), workspace.base
    )
    if recipe.training.shard:
        shard_model(backbone.model, group)
    tokens = level_token_ids(backbone.text_tokenizer, data.index.sizes)
    prompts = PromptFormat(backbone.text_tokenizer, data.codes_NL, tokens, _prompt_settings(recipe, backbone))
    method = create_method(backbone, recipe, documents, workspace.root / "null_spaces", group)
    if method.unservable_reason is not None:
        print_line(f"{recipe.method} cannot be served: {method.unservable_reason}. The run ends without a bundle")
    train(
        backbone,
        method,
        _batches(backbone, prompts, data, recipe, group),
        [torch.from_numpy(ids).to(backbone.model.device) for ids in tokens],
        recipe.training,
        workspace.checkpoint,
        workspace.step_log,
        seed=recipe.seed,
        group=group,
    )
    method.finish()
    weights = gather_weights(backbone.model, group) if recipe.training.shard else {}

    def evaluate_and_publish() -> Path:
        tuned = _unsharded(backbone, weights, recipe, workspace, group.device) if weights else backbone

        opponents = _opponents(tuned, data, tokens, prompts, recipe)

        def report(protocol: Protocol) -> Report:
            evaluated = partial(_evaluate, tuned, data, tokens, prompts, recipe, protocol)
            found = evaluated(recipe.evaluation.part, *opponents)
            if recipe.evaluation.questions == "both":
                found["validation"] = evaluated("validation", None, None)["tasks"]
            return found | {"training": summary(read_step_log(workspace.step_log))}

        if method.unservable_reason is None:
            prompts.settings.save(workspace.catalog / "prompt.json")
            result = publish_run(
                out,
                tuned,
                workspace,
                data.split,
                report("full"),
                recipe,
                data.index.sizes,
                files.by_name(),
                warm_start=None if start is None else start.version,
                make_current=make_current,
                events_erased=data.erased,
            )
            print_line(f"published {result}")
        else:  # no model is left that could be evaluated later
            reports = {"report": report("full"), "report-candidates": report("candidates")}
            result = keep_reports(out, reports, workspace.step_log, recipe)
            print_line(f"no bundle is published: {recipe.method} cannot be served. Its reports are in {result}")
        return result

    result = group.on_rank0(evaluate_and_publish)
    if group.disks.owned:
        workspace.remove()
    return result


def _prompt_settings(recipe: Recipe, backbone: Backbone) -> PromptSettings:
    terminator = backbone.tokenizer.eos_token if backbone.is_seq2seq else None
    return PromptSettings(**recipe.prompt.model_dump(), terminator=terminator)


def _batches(
    backbone: Backbone, prompts: PromptFormat, data: TrainingData, recipe: Recipe, group: ProcessGroup
) -> Batches:
    return Batches(
        data.split.train,
        data.items,
        data.codes_NL,
        prompts,
        recipe.training,
        seq2seq=backbone.is_seq2seq,
        pad=int(backbone.tokenizer.pad_token_id or 0),
        seed=recipe.seed,
        group=group,
    )


def _unsharded(
    backbone: Backbone, weights: Mapping[str, torch.Tensor], recipe: Recipe, workspace: Workspace, device: torch.device
) -> Backbone:
    """The backbone as a plain model of its gathered weights, on `device` or, where that lacks room, on the CPU."""
    workspace.stage(workspace.tuned, lambda draft: backbone.save(draft, weights))
    plain = replace(backbone, model=load_backbone(str(workspace.tuned), recipe.backbone).model)
    chosen = evaluation_device(weights, device)
    print_line(f"the tuned model is evaluated on {chosen}")
    plain.model.to(chosen)
    return plain


def _opponents(
    backbone: Backbone, data: TrainingData, tokens: Sequence[np.ndarray], prompts: PromptFormat, recipe: Recipe
) -> tuple[TunedBaselines | None, LearnedGuidance | None]:
    """The baselines and the guidance, which are the same under all protocols; None where the model alone is asked."""
    if recipe.evaluation.of_model_alone:
        return None, None
    seen = recipe.evaluation.exclude_seen
    ranker = TransformersRanker(backbone.model, data.index, tokens, normalize=recipe.training.normalize)
    return (
        TunedBaselines(data.items, data.split, exclude_seen=seen),
        learn_guidance(ranker, prompts, data.items, data.split, exclude_seen=seen),
    )


def _evaluate(
    backbone: Backbone,
    data: TrainingData,
    tokens: Sequence[np.ndarray],
    prompts: PromptFormat,
    recipe: Recipe,
    protocol: Protocol,
    part: Part,
    baselines: TunedBaselines | None,
    guidance: LearnedGuidance | None,
) -> Report:
    asked = recipe.evaluation.model_copy(update={"questions": part})
    with progress("evaluating", count_questions(data.split.questions(part), asked.max_questions)) as shown:
        return evaluate(
            backbone.model,
            data.index,
            tokens,
            prompts,
            data.items,
            data.split,
            with_protocol(asked, protocol),
            protocol=protocol,
            baselines=baselines,
            guidance=guidance,
            normalize=recipe.training.normalize,
            progress=shown.advance,
        )
