-- Dead and pending deliveries that nobody works on: due now, and given up as late as if they had arrived now. What was under a
-- lease that is over may have been sent.
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.destination, delivery.likeness, delivery.lease, delivery.state,
           delivery.group_name, delivery.is_doubtful, delivery.priority, delivery.passes_window
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'pending')
), renewed AS (
    UPDATE due
    SET due_at = %(now)s, entered_at = %(now)s, ready_at = NULL, leased_until = NULL, lease = due.lease + 1,
        is_doubtful = CASE WHEN due.leased_until IS NULL THEN due.is_doubtful ELSE 1 END
    FROM chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id
), again AS (
    INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at,
                     lease)
    SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, %(now)s, %(now)s, lease + 1
    FROM chosen WHERE state = 'dead'
    ON CONFLICT DO NOTHING
    RETURNING delivery_id
)
UPDATE delivery SET state = 'pending', due_at = %(now)s, renewed_at = %(now)s
FROM (SELECT delivery_id FROM renewed UNION ALL SELECT delivery_id FROM again) AS taken
WHERE delivery.delivery_id = taken.delivery_id;
