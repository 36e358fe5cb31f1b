-- The same of the instances of these deliveries.
UPDATE kept_copy SET kept_since = %(now)s
WHERE instance_id IN (
        SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
        JOIN delivery ON delivery.delivery_id = wanted::bigint
    )
    AND kept_since IS NULL AND kept_until > %(now)s
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = kept_copy.instance_id AND state <> 'delivered'
    );
