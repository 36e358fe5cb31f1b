-- The same from the other end: what lies behind a page that cannot be read.
SELECT {columns} FROM {table} WHERE {key} > :after ORDER BY {key} DESC;
