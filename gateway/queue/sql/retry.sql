-- Dead and pending deliveries that nobody works on: due now, age starts anew.
UPDATE delivery SET state = 'pending', due_at = :now, created_at = :now
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'pending') AND leased_until IS NULL;
