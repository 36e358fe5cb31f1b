-- Deliveries that nobody works on go to another destination, due now. Held ones stay held, for that one; those of a paused
-- rule wait for their turn, as long as it is paused. What the former one may have (doubtful, or under a lease that nobody settled)
-- stays, unless it is wanted as well. No group chose the new one.
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.likeness, delivery.lease, delivery.priority, delivery.passes_window,
           CASE WHEN delivery.state = 'held' AND delivery.reason = 'its rule was paused' THEN 'dead' ELSE delivery.state END AS state,
           CASE delivery.destination WHEN %(destination)s THEN delivery.is_doubtful ELSE 0 END AS is_doubtful
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'held', 'pending')
        AND (%(even_if_doubtful)s OR delivery.state = 'pending' OR delivery.is_doubtful = 0)
), moved AS (
    UPDATE due
    SET destination = %(destination)s, due_at = %(now)s, entered_at = %(now)s, ready_at = NULL, leased_until = NULL,
        lease = due.lease + 1, group_name = '',
        is_doubtful = CASE WHEN due.destination <> %(destination)s THEN 0
                           WHEN due.leased_until IS NULL THEN due.is_doubtful ELSE 1 END
    FROM chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
        AND (%(even_if_doubtful)s OR (due.is_doubtful = 0 AND due.leased_until IS NULL))
    RETURNING due.delivery_id, due.is_doubtful
), again AS (
    INSERT INTO due (delivery_id, destination, likeness, is_doubtful, priority, passes_window, due_at, entered_at, lease)
    SELECT delivery_id, %(destination)s, likeness, is_doubtful, priority, passes_window, %(now)s, %(now)s, lease + 1
    FROM chosen WHERE state = 'dead' -- or of a paused rule
    ON CONFLICT DO NOTHING
    RETURNING delivery_id, is_doubtful
)
UPDATE delivery
SET destination = %(destination)s, state = CASE WHEN taken.is_held THEN 'held' ELSE 'pending' END,
    lease = delivery.lease + CASE WHEN taken.is_held THEN 1 ELSE 0 END, -- `due` has it while it is pending
    reason = CASE delivery.reason WHEN 'its rule was paused' THEN '' ELSE delivery.reason END,
    due_at = %(now)s, renewed_at = %(now)s, group_name = '', is_doubtful = taken.is_doubtful
FROM (
    SELECT delivery_id, is_doubtful, false AS is_held FROM moved
    UNION ALL SELECT delivery_id, is_doubtful, false FROM again
    UNION ALL SELECT delivery_id, is_doubtful, true FROM chosen WHERE state = 'held'
) AS taken
WHERE delivery.delivery_id = taken.delivery_id;
