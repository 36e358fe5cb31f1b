-- Add one delivery. It is due at once.
INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, group_name, reason, priority,
                      passes_window, bundle, bundle_place, created_at, due_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
