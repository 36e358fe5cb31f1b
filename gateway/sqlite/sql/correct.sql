-- A held or dead delivery is sent as an operator corrects it, due now: by other actions than those that it had. What its destination
-- may have stays, unless it is wanted as well.
UPDATE delivery
SET actions_json = :actions, corrected_by = :corrected_by, state = 'pending', due_at = :now, renewed_at = :now, lease = lease + 1,
    reason = CASE WHEN attempts = 0 OR reason = 'its rule was paused' THEN '' ELSE reason END
WHERE delivery_id = :delivery_id AND actions_json = :former AND state IN ('dead', 'held') AND destination <> ''
    AND (:even_if_doubtful OR is_doubtful = 0);
