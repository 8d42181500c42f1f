"""The catalog: items, identifiers, index, filters, search and bundles, shared by trainer and server."""
