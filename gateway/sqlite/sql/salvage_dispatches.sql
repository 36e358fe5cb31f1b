-- Destinations and actions of the deliveries of the instances at a place of the spool; one row of NULLs for one without.
SELECT delivery.destination, delivery.actions_json
FROM instance LEFT JOIN delivery ON delivery.instance_id = instance.instance_id
WHERE instance.payload_name = :name AND instance.payload_offset = :offset_bytes;
