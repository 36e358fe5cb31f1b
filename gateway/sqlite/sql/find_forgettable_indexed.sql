-- The same of those in the index: [instances, their associations, their series].
SELECT json_array(json_group_array(instance_id), json_group_array(DISTINCT association_id),
                  json_group_array(DISTINCT series_key)) FROM (
    SELECT instance_id, association_id, series_key FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NOT NULL AND settled_at < :before
    ORDER BY settled_at, instance_id LIMIT :limit
);
