-- Urgent deliveries to claim (`claim_chosen`), among the first ones of `{which}`; but for those whose likeness lies in one of the
-- ranges of %(apart)s.
SELECT coalesce(json_agg(delivery_id ORDER BY due_at, delivery_id), '[]') FROM (
    SELECT delivery_id, due_at FROM (
        SELECT delivery_id, due_at, likeness FROM due
        WHERE destination = %(destination)s AND {which} AND due_at <= %(horizon)s AND (due_at <= %(now)s OR due_at = entered_at)
            AND due_at >= least(%(from_urgent)s::bigint, CASE WHEN %(token)s::bigint IS NOT NULL
                THEN (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - %(late)s::bigint END)
        ORDER BY due_at, delivery_id
        LIMIT %(looked_at)s
    ) AS first
    WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements(%(apart)s::jsonb) AS range
                      WHERE first.likeness BETWEEN (range ->> 0)::bigint AND (range ->> 1)::bigint)
    ORDER BY due_at, delivery_id
    LIMIT %(limit)s
) AS fit;
