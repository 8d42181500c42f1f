"""What events teach while a catalog serves: they are added to what a bundle learned, and can be taken back."""

from catalog.priors.live.events import LiveEvents

__all__ = ["LiveEvents"]
