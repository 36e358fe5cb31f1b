-- The same, but for those whose likeness lies in one of the ranges of %(apart)s. From one likeness to the next from
-- %(start)s on, so that nothing is read of what is left out, however much it is.
WITH RECURSIVE leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), hop (likeness) AS (
    SELECT %(start)s::bigint - 1
    UNION ALL
    SELECT (SELECT min(due.likeness) FROM due
            WHERE due.destination = %(destination)s AND due.likeness > coalesce(
                (SELECT max((range ->> 1)::bigint) FROM jsonb_array_elements(%(apart)s::jsonb) AS range
                 WHERE hop.likeness BETWEEN (range ->> 0)::bigint AND (range ->> 1)::bigint), hop.likeness))
    FROM hop WHERE hop.likeness IS NOT NULL
), found AS (
    SELECT fit.delivery_id, hop.likeness
    FROM hop CROSS JOIN LATERAL (
        SELECT delivery_id FROM due
        WHERE destination = %(destination)s AND likeness = hop.likeness
            AND due_at <= %(horizon)s AND (due_at <= %(now)s OR due_at = entered_at)
        ORDER BY delivery_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS fit
    WHERE (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
        AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(%(apart)s::jsonb) AS range
                        WHERE hop.likeness BETWEEN (range ->> 0)::bigint AND (range ->> 1)::bigint)
    LIMIT %(limit)s
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.likeness
)
SELECT coalesce(json_agg(delivery_id ORDER BY likeness, delivery_id), '[]') FROM leased;
