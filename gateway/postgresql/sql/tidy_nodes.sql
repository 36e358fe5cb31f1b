-- Remove nodes that have been gone for a day, and runs that ended of nodes that were started again; one node at a time does
-- that.
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
DELETE FROM node USING present
WHERE (seen_at < now_us - %(kept_us)s
       OR seen_at <= now_us - %(live_us)s
       AND EXISTS (SELECT 1 FROM node AS later WHERE later.name = node.name AND later.started_at > node.started_at))
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));
