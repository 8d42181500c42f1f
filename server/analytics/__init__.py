"""What people were answered and what they did with it: kept as Parquet by day, and asked with SQL."""
