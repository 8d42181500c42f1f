"""The catalog: items, identifiers, index, filters, search and bundles, shared by trainer and server."""

from gemserve.caches import provide_caches

provide_caches()  # before numba and others are imported
