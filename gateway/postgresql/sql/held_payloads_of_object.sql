-- The next payloads in an object, in the order of their bytes.
SELECT instance_id, sop_instance_uid, payload_name, payload_offset, payload_length, payload_digest,
    object_name, offset_bytes, length_bytes
FROM sealed_group JOIN segment_object USING (object_name) JOIN instance USING (payload_name)
WHERE object_name = %(object)s
    AND (offset_bytes + payload_offset, instance_id) > (%(start)s, %(instance)s)
ORDER BY offset_bytes + payload_offset, instance_id LIMIT %(limit)s;
