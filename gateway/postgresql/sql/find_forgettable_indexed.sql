-- The same of those in the index: [instances, their associations, their series].
SELECT json_build_array(coalesce(json_agg(instance_id), '[]'), coalesce(json_agg(DISTINCT association_id), '[]'),
                        coalesce(json_agg(DISTINCT series_key), '[]'))
FROM (
    SELECT instance_id, association_id, series_key FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NOT NULL AND settled_at < %(before)s
    ORDER BY settled_at, instance_id LIMIT %(limit)s
) AS found;
