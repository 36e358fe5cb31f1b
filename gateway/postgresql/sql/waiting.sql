-- What waits to be delivered, by destination: the sum of all changes.
SELECT destination, sum(number)::bigint FROM queue_change WHERE state = 'pending' GROUP BY destination HAVING sum(number) > 0;
