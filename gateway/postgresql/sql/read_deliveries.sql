-- Deliveries with their instances, in the order of the identifiers given.
SELECT coalesce(json_agg(json_build_array(
    delivery.delivery_id, delivery.destination, delivery.rule, delivery.actions_json, delivery.state,
    delivery.attempts, delivery.created_at, coalesce(due.ready_at, due.due_at, delivery.due_at),
    coalesce(due.lease, delivery.lease), delivery.reason, delivery.renewed_at,
    delivery.group_name, coalesce(due.is_doubtful, delivery.is_doubtful), delivery.corrected_by, delivery.priority,
    delivery.passes_window, delivery.bundle, delivery.bundle_place,
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, encode(instance.payload_digest, 'hex'), instance.received_at, instance.instance_id,
    instance.kept_facts, delivery.collection_id
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN delivery ON delivery.delivery_id = wanted.value::bigint
JOIN instance ON instance.instance_id = delivery.instance_id
LEFT JOIN due ON due.delivery_id = delivery.delivery_id;
