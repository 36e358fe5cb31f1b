-- Instances whose deliveries were put back are not forgotten while one of them is owed.
UPDATE instance SET settled_at = NULL
WHERE instance_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint)
    AND EXISTS (SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered');
