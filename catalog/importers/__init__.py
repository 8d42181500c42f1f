"""Importers, which convert public data sets and a shop's own to items and events: `gemserve import`."""
