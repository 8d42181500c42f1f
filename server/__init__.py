"""The HTTP service: search and recommendation from one language model on vLLM."""

import catalog  # noqa: F401 - provides caches before vLLM, torch and transformers are imported
