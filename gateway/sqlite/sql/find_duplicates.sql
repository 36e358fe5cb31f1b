-- Deliveries still owed for arriving (SOP Instance UID, digest, transfer syntax, SOP class): rows of
-- [index of the arrival, instance, destination or ``group`` and its name with its collection (`Dispatch.duty`), actions, payload name, offset, length,
-- facts of its association].
SELECT json_group_array(json_array(arrival.key, instance.instance_id, coalesce('collection ' || delivery.collection_id || ' ', '') ||
        CASE WHEN delivery.group_name <> '' THEN 'group ' || delivery.group_name
             WHEN delivery.destination = '' THEN 'rule ' || delivery.rule ELSE delivery.destination END,
                                   delivery.actions_json,
                                   payload_name, payload_offset, payload_length, association.facts)
                        ORDER BY delivery.delivery_id)
FROM json_each(:arrivals) AS arrival
CROSS JOIN instance ON instance.sop_instance_uid = arrival.value ->> 0
    AND instance.payload_digest = unhex(arrival.value ->> 1)
    AND instance.transfer_syntax_uid = arrival.value ->> 2 AND instance.sop_class_uid = arrival.value ->> 3
CROSS JOIN delivery ON delivery.instance_id = instance.instance_id AND delivery.state IN ('pending', 'held')
CROSS JOIN association ON association.association_id = instance.association_id;
