-- Deliveries with their instances, in the order of the identifiers given.
SELECT json_group_array(json_array(
    delivery.delivery_id, delivery.destination, delivery.rule, delivery.actions_json, delivery.state,
    delivery.attempts, delivery.created_at, coalesce(delivery.ready_at, delivery.due_at), delivery.lease, delivery.reason,
    delivery.renewed_at, delivery.group_name, delivery.is_doubtful, delivery.corrected_by, delivery.priority,
    delivery.passes_window, delivery.bundle, delivery.bundle_place,
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, hex(instance.payload_digest), instance.received_at, instance.instance_id,
    instance.kept_facts, delivery.collection_id
) ORDER BY wanted.key)
FROM json_each(:ids) AS wanted
CROSS JOIN delivery ON delivery.delivery_id = wanted.value
CROSS JOIN instance ON instance.instance_id = delivery.instance_id;
