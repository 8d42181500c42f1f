"""Trains one model for search and recommendation, and publishes it as a bundle.

    gemserve train --items data/items.parquet --events data/events.parquet [--events …] --out bundles \\
        [--recipe demo|small|qwen2.5-3b|t5-base|FILE.yaml] [training.steps=500 …] [--resume] \\
        [--warm-start current|BUNDLE_DIR] [--no-activate] [--erased FILE]

Several files of events are merged; an event that is in more than one counts once. Events of users who were erased are
left out, as the `.erased.json` beside each file of events and `--erased` name them.

A run gives the items identifiers, loads or builds the backbone, estimates null spaces, trains with GEMS, evaluates, and
publishes the bundle, to which the link `current` then points. `method=` takes full, lora, lora_moe or single_subspace
in place of gems, to compare with it. `torchrun --nproc-per-node N trainer/run.py …` shares every batch among N
processes, of several nodes too, and with `training.shard=true` the weights. `python trainer/run.py` is the same as
`gemserve train`. Read on in docs/training.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run as a file, Python puts trainer/ first on the path; the repository root belongs there
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from catalog.bundle.disk import access_reason, disk_full_reason
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from gemserve.caches import provided
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError

if TYPE_CHECKING:
    from catalog.bundle.bundle import Bundle


def parse(arguments: list[str] | None = None, program: str = "trainer/run.py") -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="items.parquet or items.jsonl")
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help="events.parquet or events.jsonl, a folder that `gemserve drain` writes, or a quoted pattern of its days;"
        " may be given again for more, which are merged",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER|URL",
        help="folder of bundles, or s3://, gs://, hf:// or file:// of one; the new one becomes `current`",
    )
    parser.add_argument(
        "--recipe", help="a recipe's name or a YAML file (default: small; with --warm-start, the bundle's own settings)"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run of the same recipe and data")
    parser.add_argument(
        "--warm-start",
        metavar="current|BUNDLE_DIR",
        help="start from a published bundle: its weights, and its identifiers for the items that it has",
    )
    parser.add_argument(
        "--no-activate", action="store_true", help="publish the bundle without making it `current`, for a look first"
    )
    parser.add_argument(
        "--erased",
        type=Path,
        metavar="FILE",
        help="users to leave out, beside those of the .erased.json files",
    )
    parser.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that replace the recipe's")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None, program: str = "trainer/run.py") -> int:
    """Trains, and returns the process's exit status: 0, 2 for what the user can mend, 130 after an interruption.

    program: how it is called, for its help.
    """
    options = parse(arguments, program)
    if (caches := provided()) is not None:
        print(f"trainer: {printable(caches)}", file=sys.stderr)
    try:
        _train(options)
    except (CatalogError, TrainerError) as error:
        print(f"trainer: {printable(error)}", file=sys.stderr)
        return 2
    except Exception as error:
        if (refused := access_reason(error)) is not None:
            print(f"trainer: {printable(refused)}", file=sys.stderr)
            return 2
        reason = disk_full_reason(error)
        if reason is None:
            raise
        print(
            f"trainer: {printable(options.out)} takes no more data ({reason}): make space there, and the same command "
            "with --resume continues from the last checkpoint; the bundles that were there still are",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "trainer: interrupted; the same command with --resume continues from the last checkpoint", file=sys.stderr
        )
        return 130
    return 0


def _train(options: argparse.Namespace) -> None:
    began = time.monotonic()
    keeps_settings = options.warm_start is not None and options.recipe is None
    recipe = None if keeps_settings else load_recipe(options.recipe or "small", options.settings)

    # torch and transformers take seconds to import, for which neither help nor a misspelled setting should wait
    from transformers.utils.logging import disable_progress_bar

    from trainer.distributed.group import init_process_group
    from trainer.model.warm_start import open_start, settings_of
    from trainer.pipeline import run
    from trainer.runtime.destination import Destination

    disable_progress_bar()  # of transformers, which has one for every file

    def open_files() -> tuple[Destination, Bundle | None]:
        out = Destination.of(options.out)
        return out, None if options.warm_start is None else open_start(out.start(options.warm_start), out.folder)

    with init_process_group() as group:
        out, start = group.on_every_rank(open_files)
        if recipe is None:
            assert start is not None
            recipe = settings_of(start, options.settings)
        result = run(
            options.items,
            options.events,
            out.folder,
            recipe,
            resume=options.resume,
            group=group,
            start=start,
            make_current=out.store is None and not options.no_activate,
            erased=options.erased,
        )
        delivered = group.on_rank0(lambda: out.deliver(result, make_current=not options.no_activate))
        print(f"{delivered} took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
