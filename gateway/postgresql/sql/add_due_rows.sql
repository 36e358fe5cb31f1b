-- What claims change of the pending ones among deliveries of another store that were just added: from one identifier to another.
INSERT INTO due (delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, entered_at,
                 lease)
SELECT delivery_id, destination, likeness, group_name, is_doubtful, priority, passes_window, due_at, coalesce(renewed_at, created_at), lease
FROM delivery
WHERE state = 'pending' AND delivery_id BETWEEN %(first)s AND %(last)s;
