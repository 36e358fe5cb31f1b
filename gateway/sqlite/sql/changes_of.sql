-- The next changes of an operation that are kept.
SELECT delivery_id, row_before, mark_after FROM operation_change
WHERE operation_id = :operation_id AND delivery_id > :after ORDER BY delivery_id LIMIT :limit;
