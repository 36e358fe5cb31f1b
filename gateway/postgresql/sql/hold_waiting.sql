-- Deliveries that waited for their collection wait for an operator.
UPDATE delivery SET state = 'held', due_at = %(now)s, likeness = abs(likeness), reason = %(reason)s
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE delivery_id = wanted::bigint AND state = 'pending';
