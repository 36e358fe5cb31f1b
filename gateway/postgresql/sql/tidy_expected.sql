-- Delete what nodes that are gone wait for, and that they receive: not seen for a while, or never since they began. One node at
-- a time does that.
WITH present AS (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(kept_us)s AS since_us
    WHERE pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' expected'))
), gone AS (
    SELECT instance FROM node, present WHERE seen_at <= since_us
), moves AS (
    DELETE FROM expected_move USING present
    WHERE instance IN (SELECT instance FROM gone)
        OR made_at <= since_us AND NOT EXISTS (SELECT 1 FROM node WHERE node.instance = expected_move.instance)
)
DELETE FROM expecting_node USING present
WHERE instance IN (SELECT instance FROM gone)
    OR joined_at <= since_us AND NOT EXISTS (SELECT 1 FROM node WHERE node.instance = expecting_node.instance);
