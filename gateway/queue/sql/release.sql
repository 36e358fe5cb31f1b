-- Held deliveries with a destination go on, due now; those held without one go to the destination that the operator names.
UPDATE delivery
SET state = 'pending', due_at = :now, created_at = :now,
    destination = CASE WHEN destination = '' THEN :destination ELSE destination END
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'held'
    AND (destination <> '' OR :destination <> '');
