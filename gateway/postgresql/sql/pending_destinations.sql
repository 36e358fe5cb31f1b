-- Destinations with pending deliveries, by the sum of all changes.
SELECT destination FROM queue_change WHERE state = 'pending' GROUP BY destination HAVING sum(number) > 0;
