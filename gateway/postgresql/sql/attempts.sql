-- The last attempts at one delivery, oldest first.
SELECT number, started_at, duration_us, state, status, reason FROM attempt
WHERE delivery_id = %(delivery_id)s ORDER BY number;
