-- What waits to be delivered, by destination.
SELECT destination, count(*) FROM delivery INDEXED BY delivery_owed
WHERE state = 'pending' AND state <> 'delivered' GROUP BY destination;
