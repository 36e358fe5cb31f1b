-- The key of the last row of a table. Table and key are filled in.
SELECT {key} FROM {table} ORDER BY {backwards} LIMIT 1;
