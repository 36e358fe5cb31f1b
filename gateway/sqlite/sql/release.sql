-- Held deliveries go on, due now: to the destination that the operator names, else to their own. Those without any stay. A
-- destination that an operator names was not chosen of a group. What the former one may have stays held when another one is named,
-- unless it is wanted as well.
UPDATE delivery
SET state = 'pending', due_at = :now, renewed_at = :now,
    destination = CASE WHEN :destination <> '' THEN :destination ELSE destination END,
    group_name = CASE WHEN :destination <> '' THEN '' ELSE group_name END,
    is_doubtful = CASE WHEN :destination IN ('', destination) THEN is_doubtful ELSE 0 END,
    reason = CASE WHEN attempts = 0 OR reason = 'its rule was paused' THEN '' ELSE reason END -- of the last attempt, not of being held
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'held'
    AND (destination <> '' OR :destination <> '')
    AND (:even_if_doubtful OR is_doubtful = 0 OR :destination IN ('', destination));
