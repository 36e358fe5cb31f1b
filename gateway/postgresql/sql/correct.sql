-- A held or dead delivery is sent as an operator corrects it, due now: by other actions than those that it had. What its destination
-- may have stays, unless it is wanted as well.
WITH corrected AS (
    UPDATE delivery
    SET actions_json = %(actions)s, corrected_by = %(corrected_by)s, state = 'pending', due_at = %(now)s, renewed_at = %(now)s,
        lease = lease + 1, reason = CASE WHEN attempts = 0 OR reason = 'its rule was paused' THEN '' ELSE reason END
    WHERE delivery_id = %(delivery_id)s AND actions_json = %(former)s AND state IN ('dead', 'held') AND destination <> ''
        AND (%(even_if_doubtful)s OR is_doubtful = 0)
    RETURNING delivery_id, destination, likeness, lease, group_name, is_doubtful, priority, passes_window
)
INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at,
                 lease)
SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, %(now)s, %(now)s, lease
FROM corrected;
