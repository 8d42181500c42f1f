"""Item identifiers: vectors, codes and the index of all code paths."""
