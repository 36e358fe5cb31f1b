-- The payload of an instance, and where the database says that it lies.
SELECT instance_id, sop_instance_uid, payload_name, payload_offset, payload_length, payload_digest,
    object_name, coalesce(offset_bytes, 0), length_bytes
FROM instance LEFT JOIN sealed_group USING (payload_name) LEFT JOIN segment_object USING (object_name)
WHERE instance_id = %(instance)s;
