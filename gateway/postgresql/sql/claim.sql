-- Put deliveries under a lease, and name them in order: due by the clock, or never moved since they were created or
-- renewed (a clock that was set back delays nobody). Nobody else finds them due until the lease ends, and the token fences
-- late settlements. Rows that another transaction works on are passed over. A node names the token of its lease of the
-- destination: no other node takes that until this transaction ends. The search begins at %(from)s: entries of what went before
-- are there for as long as any transaction is open, and each costs a look. A node begins at the present of the server, less
-- %(late)s, at the latest: other nodes go by it. The answer has when the first one is due that is pending, also where it is locked.
-- Where urgent or low ones are due, nothing is taken: the answer has the urgent, normal and low ones to choose from (`claim_chosen`),
-- each as [delivery, when it is due]. Pairs are compared, and ordered by, so that no other index than that of these serves.
WITH leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), latest AS MATERIALIZED (
    SELECT CASE WHEN %(token)s::bigint IS NOT NULL
        THEN (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - %(late)s::bigint END AS at
), first AS (
    SELECT due_at FROM due
    WHERE destination = %(destination)s AND (priority, due_at) <= (1, %(horizon)s::bigint)
        AND (priority, due_at) >= (1, least(%(from)s::bigint, (SELECT at FROM latest)))
    ORDER BY priority, due_at
    LIMIT 1
), urgent AS MATERIALIZED (
    SELECT delivery_id, due_at FROM due
    WHERE destination = %(destination)s AND (priority, due_at) <= (0, %(horizon)s::bigint)
        AND (priority, due_at) >= (0, least(%(from_urgent)s::bigint, (SELECT at FROM latest)))
        AND (due_at <= %(now)s OR due_at = entered_at)
    ORDER BY priority, due_at, delivery_id
    LIMIT %(limit)s
), low AS MATERIALIZED (
    SELECT delivery_id, due_at FROM due
    WHERE destination = %(destination)s AND (priority, due_at) <= (2, %(horizon)s::bigint)
        AND (priority, due_at) >= (2, least(%(from_low)s::bigint, (SELECT at FROM latest)))
        AND (due_at <= %(now)s OR due_at = entered_at)
    ORDER BY priority, due_at, delivery_id
    LIMIT %(limit)s
), are_mixed AS MATERIALIZED (
    SELECT EXISTS (SELECT 1 FROM urgent) OR EXISTS (SELECT 1 FROM low) AS here
), found AS (
    SELECT delivery_id, due_at FROM due
    WHERE destination = %(destination)s AND (priority, due_at) >= (1, (SELECT due_at FROM first))
        AND (priority, due_at) <= (1, %(horizon)s::bigint)
        AND (due_at <= %(now)s OR due_at = entered_at) AND NOT (SELECT here FROM are_mixed)
        AND (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
    ORDER BY priority, due_at, delivery_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.due_at
)
SELECT coalesce(json_agg(delivery_id ORDER BY due_at, delivery_id), '[]'), (SELECT due_at FROM first), (
    SELECT json_build_array(
        (SELECT coalesce(json_agg(json_build_array(delivery_id, due_at) ORDER BY due_at, delivery_id), '[]') FROM urgent),
        (SELECT coalesce(json_agg(json_build_array(delivery_id, due_at) ORDER BY due_at, delivery_id), '[]') FROM (
            SELECT delivery_id, due_at FROM due
            WHERE destination = %(destination)s AND (priority, due_at) >= (1, (SELECT due_at FROM first))
                AND (priority, due_at) <= (1, %(horizon)s::bigint) AND (due_at <= %(now)s OR due_at = entered_at)
            ORDER BY priority, due_at, delivery_id
            LIMIT %(limit)s
        ) AS normal),
        (SELECT coalesce(json_agg(json_build_array(delivery_id, due_at) ORDER BY due_at, delivery_id), '[]') FROM low)
    ) WHERE (SELECT here FROM are_mixed)
) FROM leased;
