"""Which model answers: loading, routing, rollouts, supervision, and what all servers on one Redis agree on."""
