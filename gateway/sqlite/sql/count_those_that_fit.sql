-- The number of collections that fit; closed ones where they are asked for.
SELECT count(*)
FROM collection
WHERE (:every_id OR collection.collection_id IN (SELECT value FROM json_each(:ids)))
    AND (:definition = '' OR name = :definition) AND (:state = '' OR state = :state)
    AND (:study_instance_uid = '' OR study_instance_uid = :study_instance_uid)
    AND (state <> 'closed' OR :state = 'closed');
