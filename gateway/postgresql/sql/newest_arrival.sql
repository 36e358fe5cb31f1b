-- When the newest delivery was created.
SELECT created_at FROM delivery ORDER BY delivery_id DESC LIMIT 1;
