-- The instances of these deliveries, in order: nodes that deliver the last two of one at one moment see each other's.
SELECT count(*) FROM (
    SELECT instance_id FROM instance
    WHERE instance_id IN (SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
                          JOIN delivery ON delivery.delivery_id = wanted::bigint)
    ORDER BY instance_id FOR NO KEY UPDATE
) AS locked;
