-- Instances of these deliveries, which were delivered, owe something again: they are not forgotten.
UPDATE instance SET settled_at = NULL
WHERE instance_id IN (
    SELECT instance_id FROM delivery
    WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'delivered'
);
