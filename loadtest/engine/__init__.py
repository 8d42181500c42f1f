"""The benchmark of the engine beside vLLM's and transformers' own beam search: `python -m loadtest.engine`."""
