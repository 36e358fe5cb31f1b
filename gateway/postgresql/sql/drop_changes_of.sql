-- Changes of an operation that are kept no more.
DELETE FROM operation_change
WHERE operation_id = %(operation_id)s
    AND delivery_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint);
