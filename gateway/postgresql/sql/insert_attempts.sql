-- Keep attempts that ended.
INSERT INTO attempt (delivery_id, number, started_at, duration_us, state, status, reason)
SELECT (row ->> 0)::bigint, (row ->> 1)::integer, (row ->> 2)::bigint, (row ->> 3)::bigint, row ->> 4,
       (row ->> 5)::integer, row ->> 6
FROM jsonb_array_elements(%(attempts)s::jsonb) AS row;
