-- Nodes that receive and do not know of a C-MOVE. One that was not seen for a while is gone; one that was never seen just starts.
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
SELECT coalesce(json_agg(instance), '[]') FROM expecting_node AS expecting, present
WHERE instance <> %(instance)s AND NOT moves ? %(move_id)s
    AND NOT EXISTS (SELECT 1 FROM node WHERE node.instance = expecting.instance AND seen_at <= now_us - %(live_us)s);
