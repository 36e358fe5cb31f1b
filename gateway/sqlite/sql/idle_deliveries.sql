-- Rows of deliveries that nobody works on. Columns and table are filled in.
SELECT {columns} FROM {table}
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND leased_until IS NULL ORDER BY delivery_id;
