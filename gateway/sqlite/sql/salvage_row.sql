-- One row of a damaged database, by its key. Columns and table are filled in.
SELECT {columns} FROM {table} WHERE {key} = :key;
