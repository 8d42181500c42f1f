"""Drains the event log into Parquet files by day and bucket, and goes on as long as events come:

    gemserve drain --redis redis://127.0.0.1:6379/0 --out drained [--every 60] [--once]

`python -m server.cli.drain.drain` is the same. Run one of it beside the servers, with their environment. With --once it
drains what is new and ends, for cron.

It writes <out>/day=2026-11-29/bucket=07/*.parquet, where the day (UTC) is when an event came, and beside the days
events.erased.json and the aliases of merged sessions. `gemserve train --events <out>` takes the folder, or days of it.
However it is killed, each event of the log is in one file once it runs again. Parts of a day that has ended become one
a bucket, and users who were erased are taken out of all parts.

SIGTERM ends it after the file in hand. Status 0: all is drained. 3: the log had dropped events before they were
drained, or was lost; it has said so. 2: it did not begin or, with --once, failed. Read on in docs/data.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from catalog.bundle.disk import access_reason
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from server.cli.drain.drainer import Drainer
from server.cli.drain.folder import open_folder
from server.cli.metrics_port import add_metrics_arguments, show_metrics
from server.cli.redis_url import add_redis_argument, server_storage, where_redis_may_be
from server.core import metrics
from server.core.errors import ServerError
from server.core.logging import configure_logging
from server.storage.primary import open_redis

__all__ = ["main"]

DRAINED, REFUSED, LOST = 0, 2, 3
REDIS_SECONDS = 30.0  # for one piece
RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.drain.drain") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = parse(arguments, program)
    try:
        configure_logging("info")
        storage = server_storage(options.redis, options.namespace)
        with _stopping() as stopping, open_folder(options.out) as folder:
            drainer = Drainer(folder, storage.namespace, storage.event_log_length, stopping.is_set)
            if options.once:
                _round(drainer, storage.url)
                drainer.tidy(whole=True)
            else:
                show_metrics(options)
                print(f"gemserve: drains events to {options.out}", flush=True)
                _follow(drainer, storage.url, options.every, stopping)
    except (RedisError, OSError, CatalogError, ServerError, ValueError) as error:  # ValueError: a damaged log
        print(f"drain: {printable(access_reason(error) or error)}{where_redis_may_be(error)}", file=sys.stderr)
        return REFUSED
    print(f"{drainer.written:,} events drained to {options.out}")
    if drainer.lost:
        print(f"drain: at most {drainer.lost:,} events were no more in the log, see above", file=sys.stderr)
    return LOST if drainer.lost or drainer.went_back else DRAINED


def _follow(drainer: Drainer, url: str, seconds: float, stopping: threading.Event) -> None:
    """Drains until it is told to stop. What fails is tried again."""
    away = False
    while not stopping.is_set():
        try:
            _round(drainer, url)
            drainer.tidy()
            away = False
        except (RedisError, OSError, ServerError, CatalogError) as error:
            if not away:
                log.warning("drain_waits", reason=str(access_reason(error) or error))
            away = True
            metrics.DRAIN_FAILURES.labels("redis" if isinstance(error, RedisError | ServerError) else "disk").inc()
            drainer.recover()
        stopping.wait(RETRY_SECONDS if away else seconds)


def _round(drainer: Drainer, url: str) -> None:
    with open_redis(url, REDIS_SECONDS) as redis:
        drainer.round(redis)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """A context with what SIGTERM and SIGINT set; in another thread than a program's first nothing does."""
    stopping = threading.Event()
    asked = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in asked}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_redis_argument(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="to drain to; it is made")
    parser.add_argument(
        "--every", type=float, default=60.0, metavar="SECONDS", help="between two writes (60), each a part a bucket"
    )
    parser.add_argument("--once", action="store_true", help="drain what is new, and end")
    add_metrics_arguments(parser)
    options = parser.parse_args(arguments)
    if not 0 < options.every <= 86_400:
        parser.error(f"--every {options.every}: give more than 0 and at most 86400 seconds")
    if "://" in str(options.out) or ":/" in str(options.out):
        parser.error(
            f"--out {options.out}: name a folder of this machine; a store is for a copy of days that have ended"
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
