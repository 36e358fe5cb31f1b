-- The next rows of a table, for a migration. Columns, table, key and the key to go on behind are filled in.
SELECT {columns} FROM {table} WHERE {after} ORDER BY {key} LIMIT %(limit)s;
