-- Deliveries of a group go from one destination to another, in order of arrival: those that no lease is on, and that the first
-- destination cannot have. They are due now.
UPDATE delivery SET destination = :target, due_at = :now, is_doubtful = 0
WHERE delivery_id IN (
    SELECT delivery_id FROM delivery INDEXED BY delivery_by_group
    WHERE state = 'pending' AND group_name <> '' AND group_name = :group AND destination = :source
        AND is_doubtful = :is_doubtful AND leased_until IS NULL
    ORDER BY delivery_id
    LIMIT :limit
);
