-- Those of these instances that are not forgotten.
SELECT instance_id FROM instance WHERE instance_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint);
