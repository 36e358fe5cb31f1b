-- Keep attempts that ended.
INSERT INTO attempt (delivery_id, number, started_at, duration_us, state, status, reason)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
FROM json_each(:attempts);
