-- Nor are they kept copies while one of them is owed.
UPDATE kept_copy SET kept_since = NULL
WHERE instance_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint)
    AND EXISTS (SELECT 1 FROM delivery WHERE delivery.instance_id = kept_copy.instance_id AND state <> 'delivered');
