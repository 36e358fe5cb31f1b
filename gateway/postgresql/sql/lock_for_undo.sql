-- Instances that deliveries are put back for: nobody forgets them until this transaction ends.
SELECT count(*) FROM (
    SELECT instance_id FROM instance
    WHERE instance_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint)
    ORDER BY instance_id FOR UPDATE
) AS locked;
