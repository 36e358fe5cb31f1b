-- Held deliveries go on, due now: to the destination that the operator names, else to their own. Those without any stay. A
-- destination that an operator names was not chosen of a group.
UPDATE delivery
SET state = 'pending', due_at = :now, renewed_at = :now,
    destination = CASE WHEN :destination <> '' THEN :destination ELSE destination END,
    group_name = CASE WHEN :destination <> '' THEN '' ELSE group_name END
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'held'
    AND (destination <> '' OR :destination <> '');
