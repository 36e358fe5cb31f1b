-- These deliveries do not wait for a collection any more.
DELETE FROM waiting_delivery USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE collection_id = %(collection_id)s AND delivery_id = wanted::bigint;
