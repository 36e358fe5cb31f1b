-- The newest delivery.
SELECT coalesce(max(delivery_id), 0) FROM delivery;
