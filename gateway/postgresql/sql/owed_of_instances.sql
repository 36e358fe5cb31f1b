-- What these instances owe: rows of (instance, rule, destination, actions, state, group, reason of what is held, priority, whether
-- it passes a window, bundle, place in it).
SELECT instance_id, rule, destination, actions_json, state, group_name,
       CASE WHEN state = 'held' THEN reason ELSE '' END, priority, passes_window, bundle, bundle_place
FROM delivery
WHERE instance_id = ANY (SELECT wanted::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted)
    AND state <> 'delivered'
ORDER BY delivery_id;
