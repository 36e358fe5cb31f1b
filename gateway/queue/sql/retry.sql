-- Dead and pending deliveries that nobody works on: due now, age starts anew.
UPDATE delivery SET state = 'pending', due_at = :now, created_at = :now,
    ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'pending')
    AND (leased_until IS NULL OR leased_until <= :present);
