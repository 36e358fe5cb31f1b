-- Instances of these deliveries that owe nothing any more may go when retention is over.
UPDATE instance SET settled_at = :now
WHERE instance_id IN (
        SELECT delivery.instance_id FROM json_each(:ids) AS wanted
        CROSS JOIN delivery ON delivery.delivery_id = wanted.value
    )
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
