-- Kept instances whose time is over.
SELECT json_group_array(instance_id) FROM (
    SELECT instance_id FROM kept_copy WHERE kept_since IS NOT NULL AND kept_until <= :before
    ORDER BY kept_until LIMIT :limit
);
