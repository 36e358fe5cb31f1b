-- Pending and dead deliveries that nobody works on wait for an operator. What was under a lease that is over may have been sent.
UPDATE delivery SET state = 'held', due_at = coalesce(ready_at, due_at),
    is_doubtful = max(is_doubtful, leased_until IS NOT NULL), ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'pending') AND due_at <> 253402300799000000
    AND (leased_until IS NULL OR leased_until <= :present);
