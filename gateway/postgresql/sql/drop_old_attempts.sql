-- Drop attempts up to a number: rows of [delivery, last number to drop].
DELETE FROM attempt USING jsonb_array_elements(%(drops)s::jsonb) AS surplus
WHERE attempt.delivery_id = (surplus ->> 0)::bigint AND attempt.number <= (surplus ->> 1)::integer;
