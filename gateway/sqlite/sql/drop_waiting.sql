-- Deliveries that waited for their collection are not made.
DELETE FROM delivery
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'pending' AND due_at = 253402300799000000
RETURNING delivery_id, instance_id;
