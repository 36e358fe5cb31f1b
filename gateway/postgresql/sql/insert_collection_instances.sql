-- Instances of collections, or their newest bytes: rows of [collection, key of the SOP Instance UID, digest, instance, matches,
-- time]. The last one of a SOP Instance UID counts.
INSERT INTO collection_instance (collection_id, uid_key, digest, instance_id, matches, arrived_at)
SELECT DISTINCT ON (1, 2) (value ->> 0)::bigint, value ->> 1, value ->> 2, (value ->> 3)::bigint, value ->> 4, (value ->> 5)::bigint
FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS row (value, key)
ORDER BY 1, 2, key DESC
ON CONFLICT (collection_id, uid_key) DO UPDATE
SET digest = excluded.digest, instance_id = excluded.instance_id, matches = excluded.matches,
    arrived_at = excluded.arrived_at;
