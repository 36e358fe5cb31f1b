-- Replace changes by their sum, up to a limit, when there are more than a few; what another session replaces is left out. The
-- oldest delivery is looked for anew: those that went meanwhile are not passed again.
WITH taken AS MATERIALIZED (
    SELECT ctid AS place FROM queue_change LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM queue_change
    WHERE ctid = ANY (ARRAY(SELECT place FROM taken)) AND (SELECT count(*) FROM taken) > %(few)s
    RETURNING destination, state, number, size_bytes, oldest_at
), summed AS (
    SELECT destination, state, sum(number) AS number, sum(size_bytes) AS size_bytes, (
            SELECT delivery.created_at FROM delivery
            WHERE delivery.destination = gone.destination AND delivery.state = gone.state AND delivery.state <> 'delivered'
                AND delivery.created_at >= min(gone.oldest_at)
            ORDER BY delivery.created_at
            LIMIT 1
        ) AS oldest_at, count(*) AS changes
    FROM gone
    GROUP BY destination, state
), added AS (
    INSERT INTO queue_change (destination, state, number, size_bytes, oldest_at)
    SELECT destination, state, number, size_bytes, oldest_at FROM summed
    WHERE number <> 0 OR size_bytes <> 0 OR oldest_at IS NOT NULL
)
SELECT coalesce(sum(changes), 0)::bigint FROM summed;
