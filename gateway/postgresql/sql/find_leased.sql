-- Which settlements still hold their lease: rows of [index of the settlement, attempts that ended before, destination, when it
-- was due before the lease]. Nobody claims
-- them until this transaction ends. A node names the tokens of its leases of destinations: each settlement needs that of its
-- destination, which no other node takes until this transaction ends. The lease is locked before the delivery, as by one who
-- takes it.
WITH leased_here AS (
    SELECT destination_lease.destination
    FROM jsonb_each_text(%(tokens)s::jsonb) AS held
    JOIN destination_lease ON destination_lease.destination = held.key AND destination_lease.token = held.value::bigint
    WHERE destination_lease.destination IN (
        SELECT due.destination FROM jsonb_array_elements(%(settlements)s::jsonb) AS settlement
        JOIN due ON due.delivery_id = (settlement ->> 0)::bigint
    )
    ORDER BY destination_lease.destination
    FOR KEY SHARE OF destination_lease
)
SELECT coalesce(json_agg(json_build_array(key - 1, attempts, destination, ready_at)), '[]') FROM (
    SELECT settlement.key, delivery.attempts, due.destination, due.ready_at
    FROM jsonb_array_elements(%(settlements)s::jsonb) WITH ORDINALITY AS settlement (value, key)
    JOIN due ON due.delivery_id = (settlement.value ->> 0)::bigint
        AND due.lease = (settlement.value ->> 1)::bigint AND due.leased_until IS NOT NULL
    JOIN delivery ON delivery.delivery_id = due.delivery_id
    WHERE %(tokens)s::jsonb IS NULL OR due.destination IN (SELECT destination FROM leased_here)
    ORDER BY due.delivery_id FOR UPDATE OF due
) AS held;
