-- Deliveries still owed for arriving (SOP Instance UID, digest, transfer syntax, SOP class): rows of
-- [index of the arrival, instance, destination or ``group`` and its name with its collection (`Dispatch.duty`), actions, payload name, offset, length,
-- facts of its association]. Where there
-- are none, identifiers for so many instances and deliveries that are about to be added: [rows, instances, deliveries].
-- `OFFSET 0`: one arrival after the other by an index, whatever the server knows of tables that grow. `(SELECT …)`: the plan
-- does not depend on the numbers, so that it is made once.
WITH found AS MATERIALIZED (
    SELECT json_agg(json_build_array(
        arrival.key - 1, instance.instance_id, coalesce('collection ' || delivery.collection_id || ' ', '') ||
        CASE WHEN delivery.group_name <> '' THEN 'group ' || delivery.group_name
             WHEN delivery.destination = '' THEN 'rule ' || delivery.rule ELSE delivery.destination END,
        delivery.actions_json,
        payload_name, payload_offset, payload_length, association.facts
    ) ORDER BY delivery.delivery_id) AS owed
    FROM jsonb_array_elements(%(arrivals)s::jsonb) WITH ORDINALITY AS arrival (value, key)
    CROSS JOIN LATERAL (
        SELECT * FROM instance
        WHERE sop_instance_uid = arrival.value ->> 0 AND payload_digest = decode(arrival.value ->> 1, 'hex')
            AND transfer_syntax_uid = arrival.value ->> 2 AND sop_class_uid = arrival.value ->> 3
        OFFSET 0
    ) AS instance
    CROSS JOIN LATERAL (
        SELECT * FROM delivery WHERE delivery.instance_id = instance.instance_id AND state IN ('pending', 'held') OFFSET 0
    ) AS delivery
    JOIN association ON association.association_id = instance.association_id
)
SELECT json_build_array(
    coalesce(owed, '[]'),
    (SELECT coalesce(json_agg(nextval('instance_ids')), '[]') FROM generate_series(1, (SELECT %(instances)s::integer)) WHERE owed IS NULL),
    (SELECT coalesce(json_agg(nextval('delivery_ids')), '[]') FROM generate_series(1, (SELECT %(deliveries)s::integer)) WHERE owed IS NULL)
) FROM found;
