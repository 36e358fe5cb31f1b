-- Rows of deliveries before an operation, and their marks behind it.
INSERT INTO operation_change (operation_id, delivery_id, row_before, mark_after)
SELECT (change ->> 0)::bigint, (change ->> 1)::bigint, change ->> 2, change ->> 3
FROM jsonb_array_elements(%(changes)s::jsonb) AS change;
