"""The null space of general knowledge: estimated, cached and projected on."""
