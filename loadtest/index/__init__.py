"""The benchmark of the item index and the constrained beam search, without a model: `python -m loadtest.index`."""
