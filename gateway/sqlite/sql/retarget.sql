-- Deliveries that nobody works on go to another destination, due now. Held ones stay held, for that one; those of a paused
-- rule wait for their turn, as long as it is paused. What the former one may have (doubtful, or under a lease that nobody settled)
-- stays, unless it is wanted as well. No group chose the new one.
UPDATE delivery
SET destination = :destination, state = CASE WHEN state = 'held' AND reason <> 'its rule was paused' THEN 'held' ELSE 'pending' END,
    reason = CASE reason WHEN 'its rule was paused' THEN '' ELSE reason END, due_at = :now,
    renewed_at = :now, ready_at = NULL, leased_until = NULL, lease = lease + 1, group_name = '',
    is_doubtful = CASE destination WHEN :destination THEN max(is_doubtful, leased_until IS NOT NULL) ELSE 0 END
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'held', 'pending') AND due_at <> 253402300799000000
    AND (leased_until IS NULL OR leased_until <= :present)
    AND (:even_if_doubtful OR (is_doubtful = 0 AND leased_until IS NULL));
