-- All deliveries of these instances: a settlement of one that is on its way ends first, so that whoever is last sees that
-- nothing is owed any more.
SELECT count(*) FROM (
    SELECT delivery.delivery_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.instance_id = wanted::bigint
    ORDER BY delivery.delivery_id FOR UPDATE OF delivery
) AS locked;
