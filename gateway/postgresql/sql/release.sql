-- Held deliveries go on, due now: to the destination that the operator names, else to their own. Those without any stay. A
-- destination that an operator names was not chosen of a group. What the former one may have stays held when another one is named,
-- unless it is wanted as well.
WITH released AS (
    UPDATE delivery
    SET state = 'pending', due_at = %(now)s, renewed_at = %(now)s,
        destination = CASE WHEN %(destination)s <> '' THEN %(destination)s ELSE destination END,
        group_name = CASE WHEN %(destination)s <> '' THEN '' ELSE group_name END,
        is_doubtful = CASE WHEN %(destination)s IN ('', destination) THEN is_doubtful ELSE 0 END,
        reason = CASE WHEN attempts = 0 OR reason = 'its rule was paused' THEN '' ELSE reason END -- of the last attempt, not of being held
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    WHERE delivery_id = wanted::bigint AND state = 'held' AND (destination <> '' OR %(destination)s <> '')
        AND (%(even_if_doubtful)s OR is_doubtful = 0 OR %(destination)s IN ('', destination))
    RETURNING delivery_id, destination, likeness, lease, group_name, is_doubtful, priority, passes_window
)
INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, %(now)s, %(now)s, lease FROM released;
