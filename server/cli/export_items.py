"""Writes the catalog as it is served, for training: a bundle's items with all changes made over HTTP since.

    gemserve export items --bundle bundles/current --redis redis://127.0.0.1:6379/0 --out data/items.parquet

Status 2: nothing was written. `python -m server.cli.export_items` is the same. Read on in docs/data.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from catalog.bundle.bundle import open_bundle
from catalog.bundle.disk import access_reason
from catalog.data.changes import AddedColumns, Change, Upsert, records_table
from catalog.data.columns.added import with_added
from catalog.data.items import Items, write_items
from catalog.errors import CatalogError, ItemsError
from catalog.terminal_escapes import printable
from server.cli.redis_url import add_redis_argument, server_namespace, server_redis, where_redis_may_be
from server.core.errors import ServerError
from server.core.settings import StorageSettings
from server.storage.shared.change_log import RedisChanges

__all__ = ["main", "served_items"]

PATIENCE_MS = 30_000  # nobody waits for an export as they do for an answer


def served_items(items: Items, changes: Mapping[str, Change]) -> tuple[pa.Table, dict[str, str]]:
    """The items with the last change of each, by its id, and why some changes are left out, as a server leaves them."""
    rejected: dict[str, str] = {}
    written: list[pa.Table] = []
    gone: set[str] = set()
    published = items.table
    for change in changes.values():
        if isinstance(change, AddedColumns):
            published = with_added(published, change.types, {}, frozenset(published.column_names))
    for item_id, change in changes.items():
        if isinstance(change, Upsert):
            try:
                written.append(records_table({1: change.record}, published.schema))
            except ItemsError as error:
                rejected[item_id] = str(error)
                continue
        gone.add(item_id)
    kept = [row for row, item_id in enumerate(items.ids) if item_id not in gone]
    return pa.concat_tables([published.take(pa.array(kept, pa.int64())), *written]).combine_chunks(), rejected


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.export_items") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = _parse(arguments, program)
    try:
        url, namespace = server_redis(options.redis), server_namespace(options.namespace)
        items = open_bundle(options.bundle, verify=False).items
        changes = asyncio.run(_changes(url, namespace))
        table, rejected = served_items(items, changes)
        write_items(table, options.out)
    except (CatalogError, ServerError, OSError, ValueError) as error:
        reason = access_reason(error) or error
        print(f"export: nothing was written: {printable(reason)}{where_redis_may_be(error)}", file=sys.stderr)
        return 2
    for item_id, reason in rejected.items():
        print(f"left out the change of {item_id!r}: {printable(reason)}")
    print(f"{len(table):,} items, {len(changes) - len(rejected):,} changes among them; wrote {options.out}")
    return 0


async def _changes(url: str, namespace: str | None) -> Mapping[str, Change]:
    store = RedisChanges(StorageSettings(url=url, namespace=namespace, write_timeout_ms=PATIENCE_MS))
    try:
        return (await store.since(0)).changes
    finally:
        await store.close()


def _parse(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle that is served")
    add_redis_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="items.parquet to write")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
