-- Due deliveries as `find_due` finds them, but for those whose likeness lies in one of the ranges of :apart. From one
-- likeness to the next from :start on, so that nothing is read of what is left out, however much it is.
WITH RECURSIVE hop (likeness) AS (
    SELECT :start - 1
    UNION ALL
    SELECT (SELECT min(delivery.likeness) FROM delivery INDEXED BY delivery_by_likeness
            WHERE delivery.destination = :destination AND delivery.state = 'pending' AND delivery.likeness <> 0
                AND delivery.likeness > coalesce(
                    (SELECT max(range.value ->> 1) FROM json_each(:apart) AS range
                     WHERE hop.likeness BETWEEN range.value ->> 0 AND range.value ->> 1), hop.likeness))
    FROM hop WHERE hop.likeness IS NOT NULL
)
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery.delivery_id
    FROM hop
    CROSS JOIN delivery INDEXED BY delivery_by_likeness ON delivery.destination = :destination
        AND delivery.state = 'pending' AND delivery.likeness <> 0 AND delivery.likeness = hop.likeness
    WHERE NOT EXISTS (SELECT 1 FROM json_each(:apart) AS range
                      WHERE hop.likeness BETWEEN range.value ->> 0 AND range.value ->> 1)
        AND delivery.due_at <= :horizon
        AND (delivery.due_at <= :now OR delivery.due_at = coalesce(delivery.renewed_at, delivery.created_at))
    LIMIT :limit
);
