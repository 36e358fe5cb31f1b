-- Instances of these deliveries that owe nothing any more may go when retention is over. Those that are kept have no
-- `settled_at` until their time is over (`end_keeping.sql`).
UPDATE instance SET settled_at = CASE WHEN EXISTS (
        SELECT 1 FROM kept_copy WHERE kept_copy.instance_id = instance.instance_id AND kept_until > :now
    ) THEN NULL ELSE :now END
WHERE instance_id IN (
        SELECT delivery.instance_id FROM json_each(:ids) AS wanted
        CROSS JOIN delivery ON delivery.delivery_id = wanted.value
    )
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
