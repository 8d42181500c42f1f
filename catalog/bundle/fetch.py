"""Has a store's active bundle on this machine before a server needs it:

    gemserve fetch --bundles s3://shop/bundles --bundle-cache /var/cache/gemserve [--wait]

It prints the copy's folder. A server with the same two settings then starts without a download. With `--wait` it looks
every five seconds until a first bundle is published. The exit status is 2 where the store is away or the bundle
damaged. `python -m catalog.bundle.fetch` is the same. Read on in docs/operations.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.bundle.disk import access_reason
from catalog.bundle.source import copies_of, default_cache
from catalog.bundle.store import BundleStore, is_url
from catalog.errors import BundleError
from catalog.terminal_escapes import printable

__all__ = ["main"]

FAILED = 2
PAUSE_SECONDS = 5.0


def main(
    arguments: Sequence[str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    program: str = "python -m catalog.bundle.fetch",
) -> int:
    """The process's exit status. sleep: for tests. program: how it is called, for its help."""
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", required=True, metavar="URL", help="the server's --bundles, an address of a store")
    parser.add_argument("--bundle-cache", type=Path, default=default_cache(), help="the server's --bundle-cache")
    parser.add_argument("--bundle-copies", metavar="N", help="the server's --bundle-copies; others are removed")
    parser.add_argument("--wait", action="store_true", help="until a first bundle is published")
    options = parser.parse_args(arguments)
    if not is_url(options.bundles):
        parser.error(f"--bundles {options.bundles} is no address: from a folder nothing is to be fetched")
    try:
        store = BundleStore(options.bundles, options.bundle_cache, copies_of(options.bundle_copies))
        while options.wait and store.pointer() is None:
            print(f"{store.url} has no active bundle yet", file=sys.stderr, flush=True)
            sleep(PAUSE_SECONDS)
        print(store.path(store.current()))
    except (BundleError, OSError) as error:
        print(f"fetch: {printable(access_reason(error) or error)}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
