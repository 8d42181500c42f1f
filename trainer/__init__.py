"""The trainer: fine-tunes a language model with GEMS and publishes it as a bundle."""
