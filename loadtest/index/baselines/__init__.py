"""Other ways to constrain a beam search, to compare ours with: nested dictionaries and padded sparse matrices."""
