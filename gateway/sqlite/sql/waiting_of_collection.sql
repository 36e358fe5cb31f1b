-- Deliveries that wait for a collection, in order of arrival.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery_id FROM waiting_delivery WHERE collection_id = :collection_id ORDER BY delivery_id LIMIT :limit
);
