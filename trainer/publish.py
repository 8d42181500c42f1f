"""Turns a finished run into a bundle: a plain checkpoint, its catalogue, its evaluation and a model card."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.bundle import Manifest, publish, sha256_of
from catalog.prompts import PROMPT_VERSION
from trainer.backbone import Backbone
from trainer.evaluation import Report
from trainer.recipe import Recipe


def publish_run(
    bundles: Path,
    backbone: Backbone,
    catalog: Path,
    report: Report,
    recipe: Recipe,
    code_sizes: tuple[int, ...],
    inputs: dict[str, Path],
) -> Path:
    """Writes the bundle and makes it current; returns its path."""
    now = datetime.now(UTC)
    data = {name: {"file": str(file), "sha256": sha256_of(file)} for name, file in inputs.items()}
    manifest = Manifest(
        version=_free_version(bundles, now),
        created=now.isoformat(timespec="seconds"),
        engine="transformers" if backbone.is_seq2seq else "vllm",
        method=recipe.method,
        base_model=backbone.name,
        identifiers=recipe.identifiers.scheme,
        code_sizes=code_sizes,
        prompt_version=PROMPT_VERSION,
        items=report["catalogue_size"],
        settings=recipe.model_dump(mode="json"),
        data=data,
        metrics=_headline(report),
        code_commit=_commit(),
    )

    def fill(draft: Path) -> None:
        backbone.save(draft / "model")
        shutil.copytree(catalog, draft / "catalog")
        (draft / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (draft / "README.md").write_text(model_card(manifest, report), encoding="utf-8")

    return publish(bundles, manifest, fill)


def model_card(manifest: Manifest, report: Report) -> str:
    """What the bundle's README.md says of the model."""
    lines = [
        f"# {manifest.version}",
        "",
        f"`{manifest.base_model}` tuned with `{manifest.method}` to answer search and recommendation over "
        f"{manifest.items} items, on {manifest.created}. `model/` is a plain Hugging Face checkpoint; answers are "
        f"item identifiers ({manifest.identifiers}, {' × '.join(map(str, manifest.code_sizes))} codes).",
        "",
        f"Protocol `{report['protocol']}`, beam width {report['beam_width']}, 95% bootstrap intervals.",
        "",
        "| task | method | Recall@10 | NDCG@10 | questions |",
        "|---|---|---|---|---|",
    ]
    for task, methods in report["tasks"].items():
        for name, figures in methods.items():
            low, high = figures.get("intervals", {}).get("recall@10", (float("nan"),) * 2)
            lines.append(
                f"| {task} | {name} | {figures['recall@10']:.3f} ({low:.3f}–{high:.3f}) "
                f"| {figures['ndcg@10']:.3f} | {figures['questions']} |"
            )
    return "\n".join([*lines, "", "Every setting of the run, and the data's hashes, are in manifest.json.", ""])


def _headline(report: Report) -> dict[str, Any]:
    return {
        task: {name: figures["recall@10"] for name, figures in methods.items()}
        for task, methods in report["tasks"].items()
    }


def _free_version(bundles: Path, now: datetime) -> str:
    stem = now.strftime("%Y%m%d-%H%M%S")
    taken = {path.name for path in bundles.iterdir()} if bundles.exists() else set()
    names = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
    return next(name for name in names if name not in taken)


def _commit() -> str | None:
    here = Path(__file__).parent
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
