-- Deliveries of instances that are forgotten.
DELETE FROM delivery USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE instance_id = gone::bigint;
