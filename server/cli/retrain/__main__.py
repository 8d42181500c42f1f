"""Trains the served model on what users did since, and activates the result if it is not worse:

    gemserve retrain --bundles bundles --redis redis://127.0.0.1:6379/0 --server http://127.0.0.1:8000 \\
        [--events older.parquet …] [--items items.parquet] [--recipe R] [training.steps=500 …]

1. `server.cli.export_events` and `export_items` write the event log and the catalog as it is served.
2. `trainer.run --warm-start` trains on them, and on the files of `--events`: it merges them, and leaves out what users
   did before they were erased, as the export and the `.erased.json` beside each file say.
3. `trainer.evaluation.compare` asks the new and the served model the same held-out questions.
4. The new one is activated over HTTP.

One retraining of a catalog is under way at a time, on whatever machine: the others end at once, with status 2. Each
step is a process of its own. The key of an admin is read from the variable RETRAIN_KEY, or given as --key, which
other users of the machine can see.

The exit status is 0 for a new model that was activated, 3 for one that is not shown to be as good (it stays published,
and the old one is served), and 2 where something failed (nothing is activated). `python -m server.cli.retrain` is the
same. Read on in docs/operations.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from redis.exceptions import RedisError

from catalog.bundle.disk import access_reason
from catalog.bundle.source import folder_or_url
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from gemserve.child import exits_on_sigterm
from server.cli.redis_url import add_redis_argument, server_namespace, server_redis, where_redis_may_be
from server.cli.retrain.lock import RetrainLock
from server.cli.retrain.steps import FAILED, Plan, Run, retrain, run_module
from server.core.errors import ServerError

__all__ = ["main"]


def main(
    arguments: Sequence[str] | None = None, run: Run | None = None, program: str = "python -m server.cli.retrain"
) -> int:
    """The process's exit status. program: how it is called, for its help. run: for tests."""
    try:
        plan = _plan(arguments, program)
        with (
            exits_on_sigterm(),  # so that what it runs ends with it, and the lock is given back
            RetrainLock(lambda: server_redis(plan.redis), plan.namespace) as lock,
            tempfile.TemporaryDirectory(prefix="gemserve-retrain-") as folder,
        ):
            return retrain(plan, Path(folder), run or run_module, lock)
    except RedisError as error:
        print(f"retrain: nothing was trained: {printable(error)}{where_redis_may_be(error)}", file=sys.stderr)
        return FAILED
    except (ServerError, CatalogError, OSError) as error:
        print(f"retrain: {printable(access_reason(error) or error)}", file=sys.stderr)
        return FAILED


def _plan(arguments: Sequence[str] | None, program: str) -> Plan:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=folder_or_url, required=True, help="the server's --bundles")
    add_redis_argument(parser)
    parser.add_argument("--server", required=True, help="such as http://127.0.0.1:8000")
    parser.add_argument("--key", default=os.environ.get("RETRAIN_KEY"), help="of an admin (default: RETRAIN_KEY)")
    parser.add_argument(
        "--events",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="events of before the log, such as the first training's file, or a folder of `gemserve drain`;"
        " may be given again for more",
    )
    parser.add_argument("--items", type=Path, help="items to train with (default: the catalog that is served)")
    parser.add_argument("--recipe", help="default: the served model's own settings")
    parser.add_argument("--metric", default="ndcg@10", help="that decides (default: ndcg@10)")
    parser.add_argument("--tolerance", type=float, default=0.02, help="how much worse is still accepted (0.02)")
    parser.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that replace the recipe's")
    options = parser.parse_intermixed_args(arguments)
    return Plan(**vars(options) | {"namespace": server_namespace(options.namespace)})


if __name__ == "__main__":
    sys.exit(main())
