"""Random catalogs and a random model, of any size, for benchmarks that need no training."""
