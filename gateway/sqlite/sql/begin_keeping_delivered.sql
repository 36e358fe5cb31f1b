-- The same of the instances of these deliveries.
UPDATE kept_copy SET kept_since = :now
WHERE instance_id IN (
        SELECT delivery.instance_id FROM json_each(:ids) AS wanted
        CROSS JOIN delivery ON delivery.delivery_id = wanted.value
    )
    AND kept_since IS NULL AND kept_until > :now
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = kept_copy.instance_id AND state <> 'delivered'
    );
