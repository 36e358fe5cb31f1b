-- Count, bytes and age of what is kept, by destination and state.
SELECT delivery.destination, delivery.state, count(*), sum(instance.payload_length)::bigint, min(delivery.created_at)
FROM delivery JOIN instance ON instance.instance_id = delivery.instance_id
WHERE delivery.state <> 'delivered'
GROUP BY delivery.destination, delivery.state
ORDER BY delivery.destination, delivery.state;
