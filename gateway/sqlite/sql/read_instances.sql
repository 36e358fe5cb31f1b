-- Instances in the order of the identifiers given.
SELECT json_group_array(json_array(
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, hex(instance.payload_digest), instance.received_at, instance.instance_id,
    instance.kept_facts
) ORDER BY wanted.key)
FROM json_each(:ids) AS wanted
CROSS JOIN instance ON instance.instance_id = wanted.value;
