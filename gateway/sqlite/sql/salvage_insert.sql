-- Put such a row into a new database. Table, columns and places are filled in.
INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places});
