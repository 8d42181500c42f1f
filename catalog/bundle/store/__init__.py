"""Bundles in an object store, `s3://bucket/folder` for one, and copies of them on this machine.

    URL/VERSION/…       the files of a bundle, its manifest last: what has no manifest yet is no bundle
    URL/current.json    which of them is active
    CACHE/SEAL/…        a whole copy of a bundle, under the seal of its manifest

A bundle of other content has another seal, so a copy is never out of date. It takes its place when every file has its
SHA-256, so a download that was cut off is never opened. Of two who point `current.json` elsewhere at the same time one
is refused where the store writes on a condition, as S3 does; in others the pointer is compared and then written, with a
moment in between.

Copies that nobody uses are removed, the least recently used first, where there are more than a number of them.
"""

from catalog.bundle.store.bundles import BundleStore, Pointer, StalePointer
from catalog.bundle.store.copies import DEFAULT_COPIES
from catalog.bundle.store.files import is_url

__all__ = ["DEFAULT_COPIES", "BundleStore", "Pointer", "StalePointer", "is_url"]
