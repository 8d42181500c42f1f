"""Values on their way: what Python programs hold made JSON, and JSON made the dataclasses of answers."""
