"""Retraining: the next model is trained on what users did since, and activated if it is not worse."""
