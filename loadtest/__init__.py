"""Benchmarks and load tests: the index, the engine, a training step and a whole server, measured from outside."""
