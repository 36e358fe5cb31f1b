-- Wait until no other process makes or changes tables; it ends with the transaction.
SELECT pg_advisory_xact_lock(1145525041, hashtext(current_schema() || ' migration'));
