-- The deliveries of these studies that an operator means, by study, destination and state.
SELECT instance.study_instance_uid, delivery.destination, delivery.state, count(*), sum(instance.payload_length),
       min(instance.received_at), max(instance.received_at), max(delivery.attempts)
FROM jsonb_array_elements_text(%(studies)s::jsonb) AS study (uid)
JOIN instance ON instance.study_instance_uid = study.uid
JOIN delivery ON delivery.instance_id = instance.instance_id
WHERE {filter}
GROUP BY instance.study_instance_uid, delivery.destination, delivery.state;
