-- The next payloads behind a key, and where the database says that they lie.
SELECT instance_id, sop_instance_uid, payload_name, payload_offset, payload_length, payload_digest,
    object_name, coalesce(offset_bytes, 0), length_bytes
FROM (
    SELECT instance_id, sop_instance_uid, payload_name, payload_offset, payload_length, payload_digest FROM instance
    WHERE (payload_name, payload_offset, instance_id) > (%(payload)s, %(offset)s, %(instance)s)
    ORDER BY payload_name, payload_offset, instance_id LIMIT %(limit)s
) AS page
LEFT JOIN sealed_group USING (payload_name) LEFT JOIN segment_object USING (object_name)
ORDER BY payload_name, payload_offset, instance_id;
