-- Affinities of studies that came long ago go.
DELETE FROM group_affinity WHERE affinity_id IN (
    SELECT affinity_id FROM group_affinity WHERE forget_at < :now ORDER BY forget_at LIMIT :limit
);
