-- Instances of these deliveries that owe nothing any more may go when retention is over.
UPDATE instance SET settled_at = %(now)s
WHERE instance_id IN (
        SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
        JOIN delivery ON delivery.delivery_id = wanted::bigint
    )
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
