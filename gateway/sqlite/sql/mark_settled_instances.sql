-- Instances that owe nothing any more, after deliveries of theirs were deleted.
UPDATE instance SET settled_at = :now
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND settled_at IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
