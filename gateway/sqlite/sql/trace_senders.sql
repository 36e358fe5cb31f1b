-- What is there of these studies, by association, in the form of `trace_entries`.
SELECT study_instance_uid, 'sender', association_id, count(*), 0, sum(payload_length), 0,
       min(received_at), max(received_at), NULL
FROM instance
WHERE study_instance_uid IN (SELECT value FROM json_each(:studies))
GROUP BY study_instance_uid, association_id;
