-- Urgent deliveries to claim, as `find_due` finds them, among the first ones of `{which}`; but for those whose likeness lies in one
-- of the ranges of :apart.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery_id FROM (
        SELECT delivery_id, due_at, likeness FROM delivery
        WHERE destination = :destination AND {which} AND due_at <= :horizon
            AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
        ORDER BY due_at, delivery_id
        LIMIT :looked_at
    ) AS first
    WHERE NOT EXISTS (SELECT 1 FROM json_each(:apart) AS range
                      WHERE first.likeness BETWEEN range.value ->> 0 AND range.value ->> 1)
    ORDER BY due_at, delivery_id
    LIMIT :limit
);
