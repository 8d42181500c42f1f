"""Results: makes the measurements of docs/measurements again, and writes the tables of the documentation from them."""
