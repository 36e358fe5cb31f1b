-- What was not sealed when it was counted last.
SELECT groups, length_bytes, oldest_at, problem, counted_at FROM unsealed;
