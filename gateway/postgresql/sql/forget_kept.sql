-- These instances are kept no longer, or are forgotten.
DELETE FROM kept_copy USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE instance_id = gone::bigint;
