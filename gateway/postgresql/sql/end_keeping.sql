-- These instances are kept no longer: their retention counts from when they owed nothing any more. One that owes something stays
-- as it is.
UPDATE instance SET settled_at = kept_since
FROM kept_copy JOIN jsonb_array_elements_text(%(ids)s::jsonb) AS wanted ON kept_copy.instance_id = wanted::bigint
WHERE instance.instance_id = kept_copy.instance_id AND settled_at IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
