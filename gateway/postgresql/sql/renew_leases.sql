-- Renew leases that are not over and still have their token; rows of [destination, token].
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us), renewed AS (
    UPDATE destination_lease SET until = now_us + %(lease_us)s
    FROM present, jsonb_array_elements(%(leases)s::jsonb) AS held
    WHERE destination_lease.destination = held ->> 0 AND destination_lease.token = (held ->> 1)::bigint AND until > now_us
    RETURNING destination_lease.destination
)
SELECT coalesce(json_agg(destination), '[]') FROM renewed;
