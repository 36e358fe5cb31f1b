-- Attempts of deliveries that are gone.
DELETE FROM attempt USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE attempt.delivery_id = gone::bigint;
