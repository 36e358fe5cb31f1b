-- Remove leases that nobody took for a day: of destinations that the rules do not have any more. Released ones have no end.
DELETE FROM destination_lease
WHERE until < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(kept_us)s
    AND NOT EXISTS (SELECT 1 FROM node WHERE node.destinations ? destination_lease.destination)
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));
