-- Instances of these deliveries, which were delivered, owe something again: they are not forgotten. All their deliveries are
-- locked first, so that a settlement on its way ends first, and the next one sees what is owed.
WITH locked AS MATERIALIZED (
    SELECT sibling.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state = 'delivered'
    JOIN delivery AS sibling ON sibling.instance_id = delivery.instance_id
    ORDER BY sibling.delivery_id FOR UPDATE OF sibling
)
UPDATE instance SET settled_at = NULL
WHERE instance_id IN (SELECT instance_id FROM locked);
