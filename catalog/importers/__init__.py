"""Data sets brought into this project's own contracts: run `gemserve import --help`."""
