-- Changes of an operation that are kept no more.
DELETE FROM operation_change
WHERE operation_id = :operation_id AND delivery_id IN (SELECT value FROM json_each(:ids));
