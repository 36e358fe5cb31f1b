"""Payloads, durable: append-only segments for small objects, a file of its own for each large one, one group commit."""
