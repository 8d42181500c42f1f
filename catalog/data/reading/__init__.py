"""Files in the dialects in which they come: compressed, in other encodings, with JSON and times as programs write."""
