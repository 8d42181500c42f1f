"""The HTTP service: search and recommendation from one language model on vLLM."""
