"""What follows the stores that servers share: events, changes of items, traffic, synonyms and overrides."""
