"""Pretrains a small base on general text, so that runs which start from it have general knowledge to keep:

    python -m trainer.analysis.pretrain_base --corpus ../shared/data/general-corpus/wikipedia_en_sample.txt.gz \\
        --out bases/small [--recipe comparison] [backbone.pretrain_steps=1000 …]

Train on from it by `gemserve train … backbone.path=bases/small`. The `backbone` and `prompt` sections of the recipe say
how large it is. Its tokenizer is learned from the corpus alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from trainer.config.recipe import Recipe, load_recipe
from trainer.core.command import exit_status
from trainer.core.errors import SettingsError, TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.corpus import read_corpus
from trainer.model.backbone import build_backbone, pretrain


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.analysis.pretrain_base", description="Pretrain a small base."
    )
    parser.add_argument("--corpus", type=Path, required=True, help="a text file (.gz too), one document a paragraph")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint; it must not exist yet")
    parser.add_argument("--recipe", default="comparison", help="a recipe's name or a YAML file (default: comparison)")
    parser.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that replace the recipe's")
    return parser.parse_intermixed_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the checkpoint. The exit status is 0, or 2 if that is impossible."""
    options = parse(arguments)

    def work() -> None:
        pretrain_base(options.corpus, options.out, load_recipe(options.recipe, options.settings))

    return exit_status("trainer.analysis.pretrain_base", work)


def pretrain_base(corpus: Path, out: Path, recipe: Recipe) -> None:
    """Writes a plain Hugging Face checkpoint to the folder `out`, which appears when it is complete.

    corpus: a text file of documents (`read_corpus`).

    Raises TrainerError if `out` exists or the corpus does not, and SettingsError for a recipe without pretraining.
    """
    if out.exists():
        raise TrainerError(f"{out} exists already: delete it, or name another --out")
    if not recipe.backbone.pretrain_steps or recipe.backbone.path is not None:
        raise SettingsError("backbone.pretrain_steps must be above 0, and backbone.path left out, to pretrain a base")
    documents = read_corpus(corpus)
    positions = recipe.prompt.max_positions(len(recipe.identifiers.code_sizes))
    backbone = build_backbone(recipe.backbone, documents, positions, seed=recipe.seed)
    with progress("pretraining", recipe.backbone.pretrain_steps) as shown:
        for loss in pretrain(backbone, documents, recipe.backbone, seed=recipe.seed):
            shown.advance(1, loss=loss)
    draft = out.with_name(f".{out.name}-draft")
    backbone.save(draft)
    draft.rename(out)
    print_line(f"a base of {sum(p.numel() for p in backbone.model.parameters()) / 1e6:.1f} M parameters is in {out}")


if __name__ == "__main__":
    raise SystemExit(main())
