-- These deliveries do not wait for a collection any more.
DELETE FROM waiting_delivery
WHERE collection_id = :collection_id AND delivery_id IN (SELECT value FROM json_each(:ids));
