-- Deliveries to claim, urgent, normal and low ones, each as [delivery, when it is due]: due by the clock, or never moved since they
-- were created or renewed (a clock that was set back delays nobody).
-- `state <> 'delivered'` is there for the planner: it is what the index `delivery_owed` covers.
SELECT json_array(
    json((SELECT json_group_array(json_array(delivery_id, due_at)) FROM (
        SELECT delivery_id, due_at FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 0
            AND due_at <= :horizon AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
        ORDER BY due_at, delivery_id
        LIMIT :limit
    ))),
    json((SELECT json_group_array(json_array(delivery_id, due_at)) FROM (
        SELECT delivery_id, due_at FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 1
            AND due_at <= :horizon AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
        ORDER BY due_at, delivery_id
        LIMIT :limit
    ))),
    json((SELECT json_group_array(json_array(delivery_id, due_at)) FROM (
        SELECT delivery_id, due_at FROM delivery
        WHERE destination = :destination AND state = 'pending' AND state <> 'delivered' AND priority = 2
            AND due_at <= :horizon AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
        ORDER BY due_at, delivery_id
        LIMIT :limit
    )))
);
