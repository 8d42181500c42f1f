"""`gemserve drain`: the event log goes on into Parquet files by day and bucket."""
