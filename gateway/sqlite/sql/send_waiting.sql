-- Deliveries that waited for their collection are due now, and as old as if they had come now.
UPDATE delivery SET due_at = :now, renewed_at = :now, likeness = abs(likeness)
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'pending';
