-- Instances outside the index that owe nothing and settled long enough ago: [instances, their associations, no series].
SELECT json_array(json_group_array(instance_id), json_group_array(DISTINCT association_id), json_array()) FROM (
    SELECT instance_id, association_id FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NULL AND settled_at < :before
    ORDER BY settled_at, instance_id LIMIT :limit
);
