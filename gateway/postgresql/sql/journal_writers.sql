-- The transactions that may have written into the journal and are not over. A statement locks its table before it takes
-- the number of its group, and a transaction gives its locks back once all see what it wrote.
SELECT DISTINCT virtualtransaction FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation
WHERE pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pg_locks.mode = 'RowExclusiveLock' AND pg_locks.granted
    AND relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^journal_[0-9]+$';
