-- Instances of collections, or their newest bytes: rows of [collection, key of the SOP Instance UID, digest, instance, matches,
-- time].
INSERT INTO collection_instance (collection_id, uid_key, digest, instance_id, matches, arrived_at)
SELECT row.value ->> 0, row.value ->> 1, row.value ->> 2, row.value ->> 3, row.value ->> 4, row.value ->> 5
FROM json_each(:rows) AS row WHERE true
ON CONFLICT (collection_id, uid_key) DO UPDATE
SET digest = excluded.digest, instance_id = excluded.instance_id, matches = excluded.matches,
    arrived_at = excluded.arrived_at;
