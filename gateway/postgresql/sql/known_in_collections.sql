-- What collections know of instances: rows of [collection, key of the SOP Instance UID, digest].
SELECT coalesce(json_agg(json_build_array(collection_instance.collection_id, uid_key, digest)), '[]')
FROM jsonb_array_elements(%(wanted)s::jsonb) AS wanted
JOIN collection_instance ON collection_instance.collection_id = (wanted ->> 0)::bigint AND uid_key = wanted ->> 1;
