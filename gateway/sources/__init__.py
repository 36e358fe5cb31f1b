"""Sources of queries and retrieves besides the gateway itself: queried side by side, their answers merged."""
