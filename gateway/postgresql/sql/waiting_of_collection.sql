-- Deliveries that wait for a collection, in order of arrival.
SELECT coalesce(json_agg(delivery_id ORDER BY delivery_id), '[]') FROM (
    SELECT delivery_id FROM waiting_delivery WHERE collection_id = %(collection_id)s ORDER BY delivery_id LIMIT %(limit)s
) AS found;
