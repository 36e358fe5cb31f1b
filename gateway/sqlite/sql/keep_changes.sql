-- Rows of deliveries before an operation, and their marks behind it.
INSERT INTO operation_change (operation_id, delivery_id, row_before, mark_after)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:changes);
