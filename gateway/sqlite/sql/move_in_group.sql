-- Deliveries of a group go from one destination to another, in order of arrival: those that no lease is on, and that the first
-- destination cannot have. They are due now, but for those that wait for a collection.
UPDATE delivery SET destination = :target, due_at = CASE due_at WHEN 253402300799000000 THEN due_at ELSE :now END, is_doubtful = 0
WHERE delivery_id IN (
    SELECT delivery_id FROM delivery INDEXED BY delivery_by_group
    WHERE state = 'pending' AND group_name <> '' AND group_name = :group AND destination = :source
        AND is_doubtful = :is_doubtful AND leased_until IS NULL
    ORDER BY delivery_id
    LIMIT :limit
);
