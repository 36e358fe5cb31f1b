-- How much is kept for a destination, or for all, in some states: the sum of all changes.
SELECT coalesce(sum(delivery.number), 0)::bigint FROM queue_change AS delivery WHERE {filter};
