-- Remove the standing of destinations that have no lease any more.
DELETE FROM circuit
WHERE NOT EXISTS (SELECT 1 FROM destination_lease WHERE destination_lease.destination = circuit.destination)
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));
