-- New deliveries of what was delivered, due now: to the destination that the operator names, else to the same ones. An equal one
-- that is still owed does for both.
WITH sent AS (
    SELECT instance_id, CASE WHEN %(destination)s <> '' THEN %(destination)s ELSE destination END AS destination,
           (array_agg(rule ORDER BY delivery_id))[1] AS rule, actions_json, min(created_at) AS created_at,
           min(likeness) AS likeness, max(corrected_by) AS corrected_by, min(delivery_id) AS first,
           (array_agg(priority ORDER BY delivery_id))[1] AS priority,
           (array_agg(passes_window ORDER BY delivery_id))[1] AS passes_window,
           (array_agg(bundle ORDER BY delivery_id))[1] AS bundle,
           (array_agg(bundle_place ORDER BY delivery_id))[1] AS bundle_place
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery_id = wanted::bigint AND state = 'delivered'
    GROUP BY 1, 2, 4
), fresh AS (
    SELECT * FROM sent
    WHERE NOT EXISTS (
        SELECT 1 FROM delivery AS owed
        WHERE owed.instance_id = sent.instance_id AND owed.destination = sent.destination
            AND owed.actions_json = sent.actions_json AND owed.state IN ('pending', 'held')
        AND owed.due_at <> 253402300799000000 -- waits for a collection, which may not send it
    )
    ORDER BY first
), added AS (
    INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, created_at,
                          renewed_at, due_at, corrected_by, priority, passes_window, bundle, bundle_place)
    SELECT nextval('delivery_ids'), instance_id, destination, rule, actions_json, 'pending', likeness, created_at,
           %(now)s, %(now)s, corrected_by, priority, passes_window, bundle, bundle_place
    FROM fresh
    RETURNING delivery_id, destination, likeness, priority, passes_window
)
INSERT INTO due (delivery_id, destination, likeness, priority, passes_window, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, priority, passes_window, %(now)s, %(now)s, 0 FROM added;
