"""Which model answers: loading, routing, rollouts, supervision, and the catalog changes that all models follow."""
