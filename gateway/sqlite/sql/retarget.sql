-- Deliveries that nobody works on go to another destination, due now. Held ones stay held, for that one.
UPDATE delivery
SET destination = :destination, state = CASE state WHEN 'held' THEN 'held' ELSE 'pending' END, due_at = :now,
    renewed_at = :now, ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'held', 'pending')
    AND (leased_until IS NULL OR leased_until <= :present);
