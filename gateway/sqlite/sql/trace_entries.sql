-- What is known of studies whose instances were forgotten, senders first.
SELECT study_instance_uid, role, name, instances, delivered, size_bytes, most_attempts, first_received_at,
       last_received_at, last_delivered_at
FROM trace_entry WHERE study_instance_uid IN (SELECT value FROM json_each(:studies))
ORDER BY study_instance_uid, role DESC, name;
