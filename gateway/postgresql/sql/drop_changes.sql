-- Changes of old operations are kept no more, some at a time.
DELETE FROM operation_change
WHERE (operation_id, delivery_id) IN (
    SELECT operation_id, delivery_id FROM operation_change WHERE operation_id <= %(up_to)s
    ORDER BY operation_id, delivery_id LIMIT %(limit)s
);
