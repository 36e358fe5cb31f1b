-- Write that a node receives, and knows of no C-MOVE yet.
INSERT INTO expecting_node (instance, moves, joined_at)
VALUES (%(instance)s, '[]', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT (instance) DO UPDATE SET moves = excluded.moves, joined_at = excluded.joined_at;
