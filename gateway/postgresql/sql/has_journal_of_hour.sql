-- Whether an hour has a table.
SELECT to_regclass('journal_{hour}') IS NOT NULL;
