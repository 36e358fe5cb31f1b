-- What is not sealed yet, for all nodes.
INSERT INTO unsealed (groups, length_bytes, oldest_at, problem, counted_at)
VALUES (%(groups)s, %(length)s, %(oldest)s, %(problem)s, %(now)s)
ON CONFLICT (only_one) DO UPDATE SET
    groups = excluded.groups, length_bytes = excluded.length_bytes, oldest_at = excluded.oldest_at,
    problem = excluded.problem, counted_at = excluded.counted_at;
