-- The hours that have a table, the oldest first.
SELECT substring(relname FROM 9)::bigint AS hour FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^journal_[0-9]+$'
ORDER BY hour;
