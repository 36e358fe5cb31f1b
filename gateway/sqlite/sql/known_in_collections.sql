-- What collections know of instances: rows of [collection, key of the SOP Instance UID, digest, payload name, offset, length], the last
-- three NULL where nothing is owed any more by the collection. `wanted`: [collection, key of the SOP Instance UID].
SELECT json_group_array(json_array(collection_instance.collection_id, uid_key, digest, payload_name, payload_offset, payload_length))
FROM json_each(:wanted) AS wanted
CROSS JOIN collection_instance ON collection_instance.collection_id = wanted.value ->> 0 AND uid_key = wanted.value ->> 1
LEFT JOIN instance ON instance.instance_id = collection_instance.instance_id AND EXISTS (
    SELECT 1 FROM delivery
    WHERE delivery.instance_id = instance.instance_id AND delivery.collection_id = collection_instance.collection_id
        AND delivery.state <> 'delivered'
);
