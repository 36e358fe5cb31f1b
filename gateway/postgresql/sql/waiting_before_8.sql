-- What waits to be delivered, by destination, where an earlier schema version counts nothing as it changes.
SELECT destination, count(*) FROM due GROUP BY destination;
