-- New deliveries of what was delivered, due now: to the destination that the operator names, else to the same ones. An equal one
-- that is still owed does for both.
INSERT INTO delivery (instance_id, destination, rule, actions_json, state, created_at, renewed_at, due_at, likeness,
                      corrected_by, priority, passes_window, bundle, bundle_place)
SELECT instance_id, destination, rule, actions_json, 'pending', created_at, :now, :now, likeness, corrected_by, priority,
       passes_window, bundle, bundle_place
FROM (
    SELECT instance_id, CASE WHEN :destination <> '' THEN :destination ELSE destination END AS destination,
           rule, actions_json, created_at, likeness, corrected_by, priority, passes_window, bundle, bundle_place,
           min(delivery_id) AS first -- and the others of the first
    FROM delivery
    WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state = 'delivered'
    GROUP BY 1, 2, 4
) AS sent
WHERE NOT EXISTS (
    SELECT 1 FROM delivery AS owed
    WHERE owed.instance_id = sent.instance_id AND owed.destination = sent.destination
        AND owed.actions_json = sent.actions_json AND owed.state IN ('pending', 'held')
        AND owed.due_at <> 253402300799000000 -- waits for a collection, which may not send it
)
ORDER BY first;
