-- Affinities of studies that came long ago go. What another transaction has in hand is passed over.
DELETE FROM group_affinity WHERE affinity_id IN (
    SELECT affinity_id FROM group_affinity WHERE forget_at < %(now)s ORDER BY forget_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
);
