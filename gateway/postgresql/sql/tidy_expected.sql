-- Delete what nodes that are gone wait for, and that they receive: neither their looks nor their beats were seen for a while. (A
-- former version writes no looks, and a node that starts or stands still no beats.) One node at a time does that.
WITH present AS (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(kept_us)s AS since_us
    WHERE pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' expected'))
), seen AS (
    SELECT instance FROM expecting_node, present WHERE joined_at > since_us
    UNION SELECT instance FROM node, present WHERE seen_at > since_us
), moves AS (
    DELETE FROM expected_move USING present WHERE made_at <= since_us AND instance NOT IN (SELECT instance FROM seen)
)
DELETE FROM expecting_node USING present WHERE joined_at <= since_us AND instance NOT IN (SELECT instance FROM seen);
