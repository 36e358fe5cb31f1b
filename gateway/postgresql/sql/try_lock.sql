-- Hold a lock of a gateway for as long as the session lasts; false when another session holds it.
SELECT pg_try_advisory_lock(%(space)s, hashtext(current_schema() || %(of)s));
