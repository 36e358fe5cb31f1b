-- Instances that owe nothing any more, after deliveries of theirs were deleted.
UPDATE instance SET settled_at = CASE WHEN EXISTS (
        SELECT 1 FROM kept_copy WHERE kept_copy.instance_id = instance.instance_id AND kept_until > %(now)s
    ) THEN NULL ELSE %(now)s END
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE instance_id = wanted::bigint AND settled_at IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
