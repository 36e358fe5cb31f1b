-- Delete deliveries that an operator gives up, except what is under a lease.
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'held', 'pending')
), gone AS (
    DELETE FROM due USING chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id
)
DELETE FROM delivery USING chosen LEFT JOIN gone ON gone.delivery_id = chosen.delivery_id
WHERE delivery.delivery_id = chosen.delivery_id AND (chosen.state <> 'pending' OR gone.delivery_id IS NOT NULL)
RETURNING delivery.delivery_id, delivery.instance_id, delivery.collection_id;
