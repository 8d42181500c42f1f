"""The part inside vLLM's process: the model, its pooler and the constrained beam search."""
