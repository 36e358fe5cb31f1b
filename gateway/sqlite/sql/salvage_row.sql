-- One of them.
SELECT {columns} FROM {table} WHERE {key} = :key;
