"""What runs inside vLLM's own process: the model, its pooler and the constrained beam search."""
