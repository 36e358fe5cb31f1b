-- Add instances.
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid,
                      series_instance_uid, association_id, payload_name, payload_offset, payload_length,
                      payload_digest, received_at, settled_at, series_key, attributes, is_current)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8, value ->> 9, unhex(value ->> 10), value ->> 11, value ->> 12, value ->> 13,
       coalesce(value ->> 14, ''), coalesce(value ->> 15, 0)
FROM json_each(:instances);
