-- Whether there are tables of ours. The catalog itself is read: what a session remembers of it may be old while it waits for a
-- lock that is none of a table's.
SELECT EXISTS (
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = current_schema() AND pg_class.relname = 'gateway_schema'
);
