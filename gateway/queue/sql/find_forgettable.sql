-- Instances that owe nothing and settled long enough ago: [instances, their associations, their series].
SELECT json_array(json_group_array(instance_id), json_group_array(DISTINCT association_id),
                  json_group_array(DISTINCT series_key) FILTER (WHERE series_key IS NOT NULL)) FROM (
    SELECT * FROM (
        SELECT instance_id, association_id, series_key, settled_at FROM instance
        WHERE settled_at IS NOT NULL AND series_key IS NULL AND settled_at < :before
        ORDER BY settled_at LIMIT :limit
    )
    UNION ALL
    SELECT * FROM (
        SELECT instance_id, association_id, series_key, settled_at FROM instance
        WHERE settled_at IS NOT NULL AND series_key IS NOT NULL AND settled_at < :indexed_before
        ORDER BY settled_at LIMIT :limit
    )
    ORDER BY settled_at, instance_id LIMIT :limit
);
