-- Dead and pending deliveries that nobody works on: due now, and given up as late as if they had arrived now. What was under a
-- lease that is over may have been sent.
UPDATE delivery SET state = 'pending', due_at = :now, renewed_at = :now,
    is_doubtful = max(is_doubtful, leased_until IS NOT NULL), ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'pending') AND due_at <> 253402300799000000
    AND (leased_until IS NULL OR leased_until <= :present);
