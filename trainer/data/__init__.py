"""Training data: users' histories and their splits, training sequences and batches, and general text."""
