-- Add one delivery.
INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, group_name, reason, priority,
                      passes_window, bundle, bundle_place, collection_id, created_at, due_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
