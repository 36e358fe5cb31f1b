-- Which settlements were written before: indexes. Their attempt is there, and nobody settled the delivery since. Rows of
-- [delivery, lease, start, duration, state, status].
SELECT coalesce(json_agg(settlement.key - 1), '[]')
FROM jsonb_array_elements(%(settlements)s::jsonb) WITH ORDINALITY AS settlement (value, key)
JOIN delivery ON delivery.delivery_id = (settlement.value ->> 0)::bigint
    AND delivery.lease = (settlement.value ->> 1)::bigint
JOIN attempt ON attempt.delivery_id = delivery.delivery_id AND attempt.number = delivery.attempts
    AND attempt.started_at = (settlement.value ->> 2)::bigint AND attempt.duration_us = (settlement.value ->> 3)::bigint
    AND attempt.state = settlement.value ->> 4
    AND attempt.status IS NOT DISTINCT FROM (settlement.value ->> 5)::integer;
