"""Curation: what a shop itself decides of its answers, by synonyms and overrides."""
