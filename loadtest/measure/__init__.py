"""What every benchmark reports with: the machine's description, times taken in turns, tables, and the results of the documentation."""
