"""Recorded associations, and what can be done to them: see `python -m benchmarks.fuzz`."""
