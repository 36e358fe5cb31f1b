-- What these instances owe: rows of (instance, rule, destination, actions, state, group, reason of what is held, priority, whether
-- it passes a window, bundle, place in it).
SELECT instance_id, rule, destination, actions_json, state, group_name,
       CASE WHEN state = 'held' THEN reason ELSE '' END, priority, passes_window, bundle, bundle_place
FROM delivery
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND state <> 'delivered' ORDER BY delivery_id;
