"""The engine for decoder-only bundles: vLLM, with the constrained beam search in its worker."""
