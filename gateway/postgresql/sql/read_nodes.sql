-- All nodes by name, with the time since each was seen and the number of leases that it holds.
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
SELECT coalesce(json_agg(json_build_array(
    instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at, now_us - seen_at,
    (SELECT count(*) FROM destination_lease AS held WHERE held.instance = node.instance AND held.until > now_us)
) ORDER BY name, started_at, instance), '[]')
FROM node, present;
