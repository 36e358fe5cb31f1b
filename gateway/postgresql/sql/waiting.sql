-- What waits to be delivered, by destination.
SELECT destination, count(*) FROM due GROUP BY destination;
