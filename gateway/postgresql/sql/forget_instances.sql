-- The instances themselves.
DELETE FROM instance USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE instance_id = gone::bigint;
