-- Rows of a table of a damaged database from a key on. Columns, table and key are filled in.
SELECT {columns} FROM {table} WHERE {key} > :after ORDER BY {key};
