-- When the first pending delivery of a destination is due; at once when it never moved since it was created or renewed.
SELECT min(at) FROM (
    SELECT * FROM (
        SELECT CASE WHEN due_at = coalesce(renewed_at, created_at) THEN min(due_at, :now) ELSE due_at END AS at
        FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 0 AND due_at < 253402300799000000
        ORDER BY due_at
        LIMIT 1
    )
    UNION ALL
    SELECT * FROM (
        SELECT CASE WHEN due_at = coalesce(renewed_at, created_at) THEN min(due_at, :now) ELSE due_at END AS at
        FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 1 AND due_at < 253402300799000000
        ORDER BY due_at
        LIMIT 1
    )
    UNION ALL
    SELECT * FROM (
        SELECT CASE WHEN due_at = coalesce(renewed_at, created_at) THEN min(due_at, :now) ELSE due_at END AS at
        FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 2 AND due_at < 253402300799000000
        ORDER BY due_at
        LIMIT 1
    )
);
