-- Deliveries that waited for their collection are not made.
DELETE FROM delivery USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE delivery_id = wanted::bigint AND state = 'pending' AND due_at = 253402300799000000
RETURNING delivery_id, instance_id;
