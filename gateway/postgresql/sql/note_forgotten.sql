-- Keep what is known of instances that are forgotten, by study and sender, and by study and destination: senders are rows of
-- [association, its Calling AE Title]. Instances are found first: by sender first, all that it ever sent would be read.
WITH sender AS MATERIALIZED (
    SELECT (value ->> 0)::bigint AS association_id, value ->> 1 AS name FROM jsonb_array_elements(%(senders)s::jsonb)
), gone AS MATERIALIZED (
    SELECT instance_id, association_id, study_instance_uid, payload_length, received_at
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted JOIN instance ON instance_id = wanted::bigint
)
INSERT INTO trace_entry (study_instance_uid, role, name, instances, delivered, size_bytes, most_attempts,
                         first_received_at, last_received_at, last_delivered_at, changed_at)
SELECT study, role, name, count(*), sum(delivered), sum(payload_length), max(attempts), min(received_at), max(received_at),
       max(delivered_at), %(now)s
FROM (
    SELECT study_instance_uid AS study, 'sender' AS role, sender.name,
           0 AS delivered, payload_length, 0 AS attempts, received_at, NULL::bigint AS delivered_at
    FROM gone JOIN sender USING (association_id)
    UNION ALL
    SELECT study_instance_uid, 'destination', destination, CASE state WHEN 'delivered' THEN 1 ELSE 0 END, payload_length, attempts,
           received_at, (SELECT max(started_at + duration_us) FROM attempt
                         WHERE attempt.delivery_id = delivery.delivery_id AND attempt.state = 'delivered')
    FROM gone JOIN delivery USING (instance_id)
) AS known
WHERE length(study) BETWEEN 1 AND %(longest)s
GROUP BY study, role, name
ORDER BY study, role, name -- in which nodes change them
ON CONFLICT (study_instance_uid, role, name) DO UPDATE SET
    instances = trace_entry.instances + excluded.instances,
    delivered = trace_entry.delivered + excluded.delivered,
    size_bytes = trace_entry.size_bytes + excluded.size_bytes,
    most_attempts = greatest(trace_entry.most_attempts, excluded.most_attempts),
    first_received_at = least(trace_entry.first_received_at, excluded.first_received_at),
    last_received_at = greatest(trace_entry.last_received_at, excluded.last_received_at),
    last_delivered_at = greatest(trace_entry.last_delivered_at, excluded.last_delivered_at),
    changed_at = greatest(trace_entry.changed_at, excluded.changed_at);
