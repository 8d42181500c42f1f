"""Data sets brought into this project's own contracts: run `python -m catalog.importers --help`."""
