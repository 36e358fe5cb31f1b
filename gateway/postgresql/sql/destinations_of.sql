-- The destinations of these deliveries, as far as they are due.
SELECT DISTINCT destination FROM delivery
JOIN jsonb_array_elements_text(%(ids)s::jsonb) AS wanted ON delivery_id = wanted::bigint
WHERE state = 'pending';
