-- How many of these deliveries are held for each destination.
SELECT destination, count(*) FROM delivery
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'held'
GROUP BY destination;
