-- Kept instances, those first that are kept for the longest time: rows of (instance, bytes).
SELECT json_group_array(json_array(instance_id, size_bytes)) FROM (
    SELECT instance_id, size_bytes FROM kept_copy WHERE kept_since IS NOT NULL ORDER BY kept_since, instance_id LIMIT :limit
);
