-- What collections know of instances: rows of [collection, key of the SOP Instance UID, digest, whether these bytes are stored, deliveries
-- of the collection for them]; a delivery is [state, destination or ``group`` and its name, actions, payload name, offset, length].
-- `wanted`: [collection, key of the SOP Instance UID, SOP Instance UID].
SELECT coalesce(json_agg(json_build_array(
    collection_instance.collection_id, uid_key, digest,
    EXISTS (
        SELECT 1 FROM instance
        WHERE instance.sop_instance_uid = wanted ->> 2 AND instance.payload_digest = decode(ltrim(digest, '-'), 'hex')
    ),
    (
        SELECT coalesce(json_agg(json_build_array(
            delivery.state, CASE delivery.group_name WHEN '' THEN delivery.destination ELSE 'group ' || delivery.group_name END,
            delivery.actions_json, payload_name, payload_offset, payload_length
        )), '[]')
        FROM instance JOIN delivery ON delivery.instance_id = instance.instance_id
            AND delivery.collection_id = collection_instance.collection_id
        WHERE instance.sop_instance_uid = wanted ->> 2 AND instance.payload_digest = decode(ltrim(digest, '-'), 'hex')
    )
)), '[]')
FROM jsonb_array_elements(%(wanted)s::jsonb) AS wanted
JOIN collection_instance ON collection_instance.collection_id = (wanted ->> 0)::bigint AND uid_key = wanted ->> 1;
