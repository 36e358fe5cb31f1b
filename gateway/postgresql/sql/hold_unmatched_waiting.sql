-- Of a collection that was not wanted: objects that nothing else wants either are held once, for no destination.
UPDATE delivery
SET state = 'held', destination = '', rule = %(rule)s, actions_json = '', group_name = '', due_at = %(now)s,
    likeness = abs(likeness), reason = %(reason)s
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE delivery_id = wanted::bigint AND state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM delivery AS other
    WHERE other.instance_id = delivery.instance_id AND other.delivery_id <> delivery.delivery_id
        AND (other.delivery_id < delivery.delivery_id OR other.due_at <> 253402300799000000
             OR other.collection_id IS DISTINCT FROM delivery.collection_id)
);
