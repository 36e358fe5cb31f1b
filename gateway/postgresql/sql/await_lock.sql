-- The same, as soon as the session that holds it ends; an error after `lock_timeout`.
SELECT pg_advisory_lock(1145525041, hashtext(current_schema()));
