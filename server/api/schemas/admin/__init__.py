"""What administrators send and are told."""
