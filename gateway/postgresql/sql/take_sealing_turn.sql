-- The lock of the one session that seals groups and deletes objects.
SELECT pg_try_advisory_lock(1145525041, hashtext(current_schema() || ' sealing'));
