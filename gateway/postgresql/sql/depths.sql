-- Count, bytes and age of what is kept, by destination and state: the sum of all changes. The oldest one is looked for from
-- where it is known to be at the earliest, so that entries of what went are passed over, which an open transaction may keep.
SELECT destination, state, number, size_bytes, (
        SELECT delivery.created_at FROM delivery
        WHERE delivery.destination = kept.destination AND delivery.state = kept.state AND delivery.state <> 'delivered'
            AND delivery.created_at >= kept.oldest_at
        ORDER BY delivery.created_at
        LIMIT 1
    )
FROM (
    SELECT destination, state, sum(number)::bigint AS number, sum(size_bytes)::bigint AS size_bytes,
           min(oldest_at) AS oldest_at
    FROM queue_change
    GROUP BY destination, state
    HAVING sum(number) > 0
) AS kept
ORDER BY destination, state;
