"""Items and events: their contracts, files and changes."""
