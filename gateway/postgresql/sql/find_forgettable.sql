-- Instances outside the index that owe nothing and settled long enough ago: [instances, their associations, no series].
SELECT json_build_array(coalesce(json_agg(instance_id), '[]'), coalesce(json_agg(DISTINCT association_id), '[]'),
                        json_build_array())
FROM (
    SELECT instance_id, association_id FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NULL AND settled_at < %(before)s
    ORDER BY settled_at, instance_id LIMIT %(limit)s
) AS found;
