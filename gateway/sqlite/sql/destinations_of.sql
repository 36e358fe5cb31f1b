-- The destinations of these deliveries, as far as they are due.
SELECT DISTINCT destination FROM delivery
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'pending';
