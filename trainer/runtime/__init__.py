"""A training run: the loop, its checkpoints, step log and workspace, and the publishing of its bundle."""
