-- Instances of these deliveries, which were delivered, owe something again: how long they are kept is seen when they owe
-- nothing.
UPDATE kept_copy SET kept_since = NULL
WHERE instance_id IN (
    SELECT instance_id FROM delivery
    WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'delivered'
);
