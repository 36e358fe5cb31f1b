-- Remove nodes that have been gone for a day; one node at a time does that.
DELETE FROM node
WHERE seen_at < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(kept_us)s
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));
