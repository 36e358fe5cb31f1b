-- Add one instance.
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid,
                      series_instance_uid, association_id, payload_name, payload_offset, payload_length,
                      payload_digest, received_at, settled_at, series_key, attributes, is_current)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
