-- Add a row of another store. Table, columns and places are filled in.
INSERT INTO {table} ({columns}) VALUES ({places});
