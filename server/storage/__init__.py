"""Redis: histories, the event log and catalog changes."""
