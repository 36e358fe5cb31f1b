-- Answer what was handed over, rows of [handover, status, comment], and tell the nodes that did so.
WITH answered AS (
    UPDATE handed_instance SET status = (answer ->> 1)::integer, comment = answer ->> 2
    FROM jsonb_array_elements(%(answers)s::jsonb) AS answer WHERE handover_id = answer ->> 0
    RETURNING giver
)
SELECT pg_notify('gateway_expected', json_build_array(current_schema(), giver)::text)
FROM (SELECT DISTINCT giver FROM answered) AS givers;
