-- Write how destinations stand, rows of [destination, token, is up, reason, failures, wait in microseconds, refusals, microseconds
-- since it is down or NULL]; those whose lease is another node's are left out.
INSERT INTO circuit (destination, is_up, reason, failures, try_at, refusals, down_since)
SELECT written ->> 0, (written ->> 2)::boolean, written ->> 3, (written ->> 4)::integer,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + (written ->> 5)::bigint, written ->> 6,
       coalesce((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - (written ->> 7)::bigint, 0)
FROM jsonb_array_elements(%(circuits)s::jsonb) AS written
JOIN destination_lease AS lease ON lease.destination = written ->> 0 AND lease.token = (written ->> 1)::bigint
ON CONFLICT (destination) DO UPDATE SET
    is_up = excluded.is_up, reason = excluded.reason, failures = excluded.failures, try_at = excluded.try_at,
    refusals = excluded.refusals, down_since = excluded.down_since;
