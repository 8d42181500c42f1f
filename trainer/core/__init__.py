"""What every part of the trainer builds on: its errors and what a person sees while it works."""
