"""What every benchmark reports with: the machine, times taken in turns, tables, and the results that the docs show."""
