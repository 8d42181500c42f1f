"""Bundles: immutable directories with a model and its catalog, which the trainer publishes and the server serves."""
