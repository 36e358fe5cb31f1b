-- These instances are kept no longer: their retention counts from when they owed nothing any more. One that owes something stays
-- as it is.
UPDATE instance SET settled_at = (
    SELECT kept_since FROM kept_copy WHERE kept_copy.instance_id = instance.instance_id
)
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND settled_at IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );
