"""A checkpoint of a published size, trained, published and served here: `python -m loadtest.training.real_size`."""
