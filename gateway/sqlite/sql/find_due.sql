-- Deliveries to claim: due by the clock, or never moved since they were created or renewed (a clock that was set back delays nobody).
-- `state <> 'delivered'` is there for the planner: it is what the index `delivery_owed` covers.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery_id FROM delivery
    WHERE destination = :destination AND state = 'pending' AND state <> 'delivered'
        AND due_at <= :horizon AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
    ORDER BY due_at, delivery_id
    LIMIT :limit
);
