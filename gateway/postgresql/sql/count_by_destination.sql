-- How many of these deliveries are held for each destination.
SELECT destination, count(*)
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state = 'held'
GROUP BY destination;
