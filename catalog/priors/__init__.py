"""What catalog and events know without a model: words, clicks, neighbours and popularity, one module a source."""
