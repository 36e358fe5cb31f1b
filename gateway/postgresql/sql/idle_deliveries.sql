-- Rows of deliveries that nobody works on. Columns and table are filled in.
SELECT {columns} FROM {table}
WHERE delivery_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint) AND leased_until IS NULL ORDER BY delivery_id;
