"""What all servers on one Redis share beside histories and events."""
