"""What every benchmark reports with: the machine's description, times taken in turns, and tables."""
