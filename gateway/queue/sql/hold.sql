-- Pending and dead deliveries that nobody works on wait for an operator.
UPDATE delivery SET state = 'held'
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'pending') AND leased_until IS NULL;
