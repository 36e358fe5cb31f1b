-- Write the new state of deliveries whose lease was found valid in this transaction, and end the lease. One that comes back
-- without an attempt takes its old place again, unless it is to wait. What only comes back changes nothing but `due`.
WITH held AS (
    SELECT due.delivery_id, due.lease, settlement ->> 2 AS state, settlement ->> 4 AS reason,
           (settlement ->> 5)::integer AS attempts,
           CASE WHEN (settlement ->> 5)::integer = 0 AND (settlement ->> 3)::bigint <= %(now)s
                THEN due.ready_at ELSE (settlement ->> 3)::bigint END AS due_at,
           CASE settlement ->> 2 WHEN 'delivered' THEN 0
                ELSE greatest(due.is_doubtful, (settlement ->> 6)::smallint) END AS is_doubtful
    FROM jsonb_array_elements(%(settlements)s::jsonb) AS settlement
    JOIN due ON due.delivery_id = (settlement ->> 0)::bigint
        AND due.lease = (settlement ->> 1)::bigint AND due.leased_until IS NOT NULL
), back AS (
    UPDATE due SET due_at = held.due_at, ready_at = NULL, leased_until = NULL, is_doubtful = held.is_doubtful
    FROM held WHERE due.delivery_id = held.delivery_id AND held.state = 'pending'
), gone AS (
    DELETE FROM due USING held WHERE due.delivery_id = held.delivery_id AND held.state <> 'pending'
)
UPDATE delivery
SET state = held.state, due_at = held.due_at, lease = held.lease, attempts = delivery.attempts + held.attempts,
    is_doubtful = held.is_doubtful,
    reason = CASE WHEN held.attempts = 0 AND held.reason = '' THEN delivery.reason ELSE held.reason END
FROM held
WHERE delivery.delivery_id = held.delivery_id AND NOT (held.state = 'pending' AND held.attempts = 0 AND held.reason = '');
