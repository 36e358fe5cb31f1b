-- Pending and dead deliveries that nobody works on wait for an operator. What was under a lease that is over may have been sent.
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'pending')
), gone AS (
    DELETE FROM due USING chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id, due.lease, coalesce(due.ready_at, due.due_at) AS due_at,
        CASE WHEN due.leased_until IS NULL THEN due.is_doubtful ELSE 1 END AS is_doubtful
)
UPDATE delivery
SET state = 'held', lease = coalesce(gone.lease, delivery.lease) + 1, due_at = coalesce(gone.due_at, delivery.due_at),
    is_doubtful = coalesce(gone.is_doubtful, delivery.is_doubtful)
FROM chosen LEFT JOIN gone ON gone.delivery_id = chosen.delivery_id
WHERE delivery.delivery_id = chosen.delivery_id AND (chosen.state <> 'pending' OR gone.delivery_id IS NOT NULL);
