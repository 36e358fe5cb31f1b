-- Which of these instances are not in the index. They are not forgotten until this transaction ends.
SELECT coalesce(json_agg(instance_id), '[]') FROM (
    SELECT instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN instance ON instance.instance_id = wanted::bigint AND instance.series_key IS NULL
    ORDER BY instance_id FOR NO KEY UPDATE OF instance
) AS found;
