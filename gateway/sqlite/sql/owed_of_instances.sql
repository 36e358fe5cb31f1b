-- What these instances owe: rows of (instance, rule, destination, actions, state).
SELECT instance_id, rule, destination, actions_json, state FROM delivery
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND state <> 'delivered' ORDER BY delivery_id;
