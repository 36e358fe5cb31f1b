-- Deliveries still owed for arriving (SOP Instance UID, digest, transfer syntax, SOP class): rows of
-- [index of the arrival, instance, destination, actions, payload name, offset, length, facts of its association].
SELECT coalesce(json_agg(json_build_array(
    arrival.key - 1, instance.instance_id, delivery.destination, delivery.actions_json,
    payload_name, payload_offset, payload_length, association.facts
) ORDER BY delivery.delivery_id), '[]')
FROM jsonb_array_elements(%(arrivals)s::jsonb) WITH ORDINALITY AS arrival (value, key)
JOIN instance ON instance.sop_instance_uid = arrival.value ->> 0
    AND instance.payload_digest = decode(arrival.value ->> 1, 'hex')
    AND instance.transfer_syntax_uid = arrival.value ->> 2 AND instance.sop_class_uid = arrival.value ->> 3
JOIN delivery ON delivery.instance_id = instance.instance_id AND delivery.state IN ('pending', 'held')
JOIN association ON association.association_id = instance.association_id;
