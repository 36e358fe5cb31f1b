-- What collections know of instances: rows of [collection, key of the SOP Instance UID, digest].
SELECT json_group_array(json_array(collection_instance.collection_id, uid_key, digest))
FROM json_each(:wanted) AS wanted
CROSS JOIN collection_instance ON collection_instance.collection_id = wanted.value ->> 0 AND uid_key = wanted.value ->> 1;
