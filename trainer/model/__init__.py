"""The language model that is tuned and the identifiers that it writes."""
