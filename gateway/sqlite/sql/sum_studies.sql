-- The deliveries of these studies that an operator means, by study, destination and state. No index has the studies: instances
-- are read once, whatever the number of studies is.
SELECT instance.study_instance_uid, delivery.destination, delivery.state, count(*), sum(instance.payload_length),
       min(instance.received_at), max(instance.received_at), max(delivery.attempts)
FROM instance CROSS JOIN delivery ON delivery.instance_id = instance.instance_id
WHERE instance.study_instance_uid IN (SELECT value FROM json_each(:studies)) AND {filter}
GROUP BY instance.study_instance_uid, delivery.destination, delivery.state;
