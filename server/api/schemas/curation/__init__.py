"""Synonyms and overrides, as they are written, listed, imported and shown."""
