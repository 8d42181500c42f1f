"""The null spaces of general text: estimation, files, and projection. The public names are in trainer.gems."""
