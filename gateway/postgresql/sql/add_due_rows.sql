-- What claims change of the pending ones among deliveries that were just added as rows.
INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at,
                 lease)
SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, coalesce(renewed_at, created_at), lease
FROM delivery
WHERE state = 'pending' AND due_at <> 253402300799000000 AND delivery_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint);
