-- Instances whose payloads lie in a file, in order of their places, with how many deliveries they owe.
SELECT instance_id, sop_instance_uid, payload_offset, payload_length, payload_digest, (
    SELECT count(*) FROM delivery WHERE delivery.instance_id = instance.instance_id AND delivery.state <> 'delivered'
)
FROM instance WHERE payload_name = :name ORDER BY payload_offset;
