"""Converts a data set to items and events:

    gemserve import shop DST                 the bundled store (synthetic)
    gemserve import movielens SRC DST        MovieLens: movies.csv, ratings.csv, tags.csv
    gemserve import lastfm SRC DST           Last.fm HetRec 2011
    gemserve import amazon SRC DST           Amazon reviews 5-core with metadata
    gemserve import qilin SRC DST            Qilin (Xiaohongshu)
    gemserve import jsonl SRC DST            your own: items.jsonl, events.jsonl (or .parquet)

It writes DST/items.parquet and DST/events.parquet, and prints how many records it read, kept and dropped. It warns if
more than one in a hundred is broken. If more than half are, or one with --strict, it stops with exit status 2 and
nothing written. `python -m catalog.importers` is the same
command. Read on in docs/data.md.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.bundle.disk import access_reason
from catalog.errors import CatalogError
from catalog.importers.amazon import read_amazon
from catalog.importers.dataset import EVENTS_FILE, ITEMS_FILE, Dataset, write_dataset
from catalog.importers.jsonl import read_jsonl
from catalog.importers.lastfm import read_lastfm
from catalog.importers.movielens import JUNK_TAGS, read_movielens
from catalog.importers.qilin import read_qilin
from catalog.importers.shop import build_shop
from catalog.terminal_escapes import printable

__all__ = ["main"]

Read = Callable[[argparse.Namespace], Dataset]


def main(arguments: Sequence[str] | None = None, program: str = "python -m catalog.importers") -> int:
    """Run one import; returns the exit status, 0, or 2 if nothing was imported.

    program: the name of the command in its help.
    """
    chosen = _parser(program).parse_args(arguments)
    read: Read = chosen.read
    try:
        dataset = read(chosen)
        print(printable(dataset))
        for report in (dataset.items_report, dataset.events_report):
            if report.warning:
                print(f"warning: {printable(report.warning)}", file=sys.stderr)
        write_dataset(dataset, chosen.destination, strict=chosen.strict)
    except (CatalogError, OSError) as fault:
        print(f"error: {printable(access_reason(fault) or fault)}", file=sys.stderr)
        return 2
    print(f"wrote {chosen.destination / ITEMS_FILE} and {chosen.destination / EVENTS_FILE}")
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(title="data sets", required=True, metavar="DATA SET")
    shop = _command(commands, "shop", "the bundled store (synthetic)", _shop, source=False)
    _add_seed(shop, "decides everything about the store")
    shop.add_argument("--products", type=int, default=2000, help="about how many products (default 2000)")
    shop.add_argument("--shoppers", type=int, default=1500, help="how many people (default 1500)")
    shop.add_argument("--events", type=int, default=40_000, help="about how many events (default 40000)")
    movielens = _command(commands, "movielens", "MovieLens", _movielens)
    movielens.add_argument(
        "--junk-tag",
        action="append",
        metavar="TAG",
        help=f"a tag that is no query, instead of the usual ones; may be repeated (default: {', '.join(JUNK_TAGS)})",
    )
    _command(commands, "lastfm", "Last.fm HetRec 2011, 2k users", lambda chosen: read_lastfm(chosen.source))
    amazon = _command(commands, "amazon", "Amazon product reviews, 5-core, with metadata", _amazon)
    _add_seed(amazon, "decides which of a product's queries led to which review")
    amazon.add_argument("--all-items", action="store_true", help="keep products that nobody reviewed")
    qilin = _command(commands, "qilin", "Qilin (Xiaohongshu)", _qilin)
    qilin.add_argument("--all-items", action="store_true", help="keep notes that nobody clicked")
    _command(commands, "jsonl", "your own items and events", lambda chosen: read_jsonl(chosen.source))
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    read: Read,
    *,
    source: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=sys.modules[f"catalog.importers.{name}"].__doc__)
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    if source:
        command.add_argument("source", type=Path, metavar="SRC", help="folder with the files of the data set")
    command.add_argument("destination", type=Path, metavar="DST", help="folder to write to; made if need be")
    command.add_argument("--strict", action="store_true", help="stop, writing nothing, if any record is broken")
    command.set_defaults(read=read)
    return command


def _add_seed(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--seed", type=int, default=0, help=f"{what} (default 0)")


def _shop(chosen: argparse.Namespace) -> Dataset:
    return build_shop(seed=chosen.seed, products=chosen.products, shoppers=chosen.shoppers, events=chosen.events)


def _movielens(chosen: argparse.Namespace) -> Dataset:
    return read_movielens(chosen.source, junk_tags=chosen.junk_tag or JUNK_TAGS)


def _amazon(chosen: argparse.Namespace) -> Dataset:
    return read_amazon(chosen.source, seed=chosen.seed, all_items=chosen.all_items)


def _qilin(chosen: argparse.Namespace) -> Dataset:
    return read_qilin(chosen.source, all_items=chosen.all_items)


if __name__ == "__main__":
    sys.exit(main())
