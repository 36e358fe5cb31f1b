-- Instances in the order of the identifiers given.
SELECT coalesce(json_agg(json_build_array(
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, encode(instance.payload_digest, 'hex'), instance.received_at, instance.instance_id,
    instance.kept_facts
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN instance ON instance.instance_id = wanted.value::bigint;
