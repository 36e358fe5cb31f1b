-- Keys of SOP Instance UIDs that are none of a collection's instances.
SELECT json_group_array(wanted.value) FROM json_each(:wanted) AS wanted
WHERE NOT EXISTS (
    SELECT 1 FROM collection_instance WHERE collection_id = :collection_id AND uid_key = wanted.value
);
