-- Add rows of another store. Table, columns and their values are filled in.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {values} FROM jsonb_array_elements(%(rows)s::jsonb) AS row;
