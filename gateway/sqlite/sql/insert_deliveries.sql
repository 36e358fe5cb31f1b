-- Add deliveries; they are due at once.
INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, created_at, due_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, :due_at,
       :due_at
FROM json_each(:deliveries);
