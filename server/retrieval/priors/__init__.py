"""What guides the search: the priors of a serving catalog, what events teach them, and what they say of a question."""
