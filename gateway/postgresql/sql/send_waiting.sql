-- Deliveries that waited for their collection are due now, and as old as if they had come now.
WITH sent AS (
    UPDATE delivery SET due_at = %(now)s, renewed_at = %(now)s, likeness = abs(likeness)
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    WHERE delivery_id = wanted::bigint AND state = 'pending'
    RETURNING delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, lease
)
INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at,
                 lease)
SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, %(now)s, %(now)s, lease FROM sent;
