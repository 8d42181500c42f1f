"""Many items: identifiers are made of vectors, an index of these, and all of it is served, each step by itself."""
