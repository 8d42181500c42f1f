"""Many items in one request: what is imported is read, applied and answered in chunks, what is exported written so."""
