-- Add deliveries; those that are pending are due at once, or wait for their collection: rows of
-- [delivery, instance, destination, rule, actions, state, likeness, group, reason, priority, whether it passes a window, bundle,
-- place in it, collection, time, whether it waits].
WITH row AS (
    SELECT (value ->> 0)::bigint AS delivery_id, (value ->> 1)::bigint AS instance_id, value ->> 2 AS destination,
           value ->> 3 AS rule, value ->> 4 AS actions_json, value ->> 5 AS state, (value ->> 6)::bigint AS likeness,
           value ->> 7 AS group_name, value ->> 8 AS reason, (value ->> 9)::smallint AS priority,
           (value ->> 10)::smallint AS passes_window, value ->> 11 AS bundle, (value ->> 12)::bigint AS bundle_place,
           (value ->> 13)::bigint AS collection_id, (value ->> 14)::bigint AS at, (value ->> 15)::boolean AS is_waiting
    FROM jsonb_array_elements(%(deliveries)s::jsonb)
), added AS (
    INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, group_name, reason,
                          priority, passes_window, bundle, bundle_place, collection_id, created_at, due_at)
    SELECT delivery_id, instance_id, destination, rule, actions_json, state, likeness, group_name, reason,
           priority, passes_window, bundle, bundle_place, collection_id, at,
           CASE WHEN is_waiting THEN 253402300799000000 ELSE at END
    FROM row
), waiting AS (
    INSERT INTO waiting_delivery (collection_id, delivery_id)
    SELECT collection_id, delivery_id FROM row WHERE is_waiting
)
INSERT INTO due (delivery_id, destination, likeness, group_name, priority, passes_window, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, group_name, priority, passes_window, at, at, 0
FROM row WHERE state = 'pending' AND NOT is_waiting;
