-- Deliveries that waited for their collection wait for an operator.
UPDATE delivery SET state = 'held', due_at = :now, likeness = abs(likeness), reason = :reason
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'pending';
