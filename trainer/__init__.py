"""The trainer: fine-tunes a language model with GEMS and publishes it as a bundle."""

import catalog  # noqa: F401 - provides caches before torch and transformers are imported
