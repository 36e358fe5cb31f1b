-- [nodes by name, with the time since each was seen and the number of leases that it holds; leases, and whether each is
-- over; rows of destination, is up, reason, failures, wait in microseconds, microseconds since it is down or NULL, of all
-- destinations].
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
SELECT json_build_array(
    (SELECT coalesce(json_agg(json_build_array(
        instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at, now_us - seen_at,
        (SELECT count(*) FROM destination_lease AS held WHERE held.instance = node.instance AND held.until > now_us)
    ) ORDER BY name, started_at, instance), '[]') FROM node),
    (SELECT coalesce(json_agg(json_build_array(
        destination, instance, token, until <= now_us
    ) ORDER BY destination), '[]') FROM destination_lease),
    (SELECT coalesce(json_agg(json_build_array(
        destination, is_up, reason, failures, greatest(try_at - now_us, 0),
        CASE WHEN NOT is_up AND down_since > 0 THEN now_us - down_since END
    )), '[]') FROM circuit)
)
FROM present;
