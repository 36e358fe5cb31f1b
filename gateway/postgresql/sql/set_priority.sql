-- Another priority for deliveries that nobody works on.
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'held', 'pending')
), changed AS (
    UPDATE due SET priority = %(priority)s
    FROM chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id
)
UPDATE delivery SET priority = %(priority)s
FROM (
    SELECT delivery_id FROM changed
    UNION ALL SELECT delivery_id FROM chosen WHERE state <> 'pending'
) AS taken
WHERE delivery.delivery_id = taken.delivery_id;
