"""Columns of tables: the few types that they have, values as JSON shows them, and names that they cannot keep."""
