"""The server's side of vLLM: starts its process, watches it and calls it."""
