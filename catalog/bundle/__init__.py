"""Published bundles: one immutable directory with everything that answers need."""
