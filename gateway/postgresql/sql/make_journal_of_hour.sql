-- The table of one hour, like `journal`.
CREATE TABLE IF NOT EXISTS journal_{hour} (LIKE journal INCLUDING ALL);
