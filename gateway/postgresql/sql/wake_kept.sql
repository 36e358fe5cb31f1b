-- Instances of these deliveries, which were delivered, owe something again: how long they are kept is seen when they owe
-- nothing.
UPDATE kept_copy SET kept_since = NULL
WHERE instance_id IN (
    SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state = 'delivered'
);
