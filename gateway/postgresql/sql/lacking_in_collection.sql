-- Keys of SOP Instance UIDs that are none of a collection's instances.
SELECT coalesce(json_agg(wanted), '[]') FROM jsonb_array_elements_text(%(wanted)s::jsonb) AS wanted
WHERE NOT EXISTS (
    SELECT 1 FROM collection_instance WHERE collection_id = %(collection_id)s AND uid_key = wanted
);
