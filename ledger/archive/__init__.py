"""Archives: sealed ranges of the log in Parquet files, each of which is verified alone, without the database."""
