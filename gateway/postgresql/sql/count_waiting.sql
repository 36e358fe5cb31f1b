-- The number of deliveries that wait for a collection.
SELECT count(*) FROM waiting_delivery WHERE collection_id = %(collection_id)s;
