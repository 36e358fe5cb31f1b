-- Hold this schema's lock of a gateway for as long as the session lasts; false when another session holds it.
SELECT pg_try_advisory_lock(1145525041, hashtext(current_schema()));
