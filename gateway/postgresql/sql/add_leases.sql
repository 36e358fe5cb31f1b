-- A free lease for each destination that never had one.
INSERT INTO destination_lease (destination, instance, token, until)
SELECT destination, '', nextval('destination_tokens'), 0
FROM jsonb_array_elements_text(%(destinations)s::jsonb) AS wanted (destination)
WHERE NOT EXISTS (SELECT 1 FROM destination_lease AS held WHERE held.destination = wanted.destination)
ORDER BY destination
ON CONFLICT DO NOTHING;
