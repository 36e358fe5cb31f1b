-- Which settlements were written before: indexes. Their attempt is there, and nobody claimed the delivery since. Rows of
-- [delivery, lease, start, duration, state, status].
SELECT json_group_array(settlement.key)
FROM json_each(:settlements) AS settlement
CROSS JOIN delivery ON delivery.delivery_id = settlement.value ->> 0
    AND delivery.lease = settlement.value ->> 1 AND delivery.leased_until IS NULL
CROSS JOIN attempt ON attempt.delivery_id = delivery.delivery_id AND attempt.number = delivery.attempts
    AND attempt.started_at = settlement.value ->> 2 AND attempt.duration_us = settlement.value ->> 3
    AND attempt.state = settlement.value ->> 4 AND attempt.status IS (settlement.value ->> 5);
