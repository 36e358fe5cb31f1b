-- Collections that fit, the last arrival first; closed ones where they are asked for. Instances of those alone are counted.
SELECT collection.collection_id, terms, study_instance_uid, series_instance_uid, patient, generation, state,
    opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, completed_at, result, outcome, flag,
    CASE state WHEN 'closed' THEN instances ELSE (
        SELECT count(*) FROM collection_instance WHERE collection_instance.collection_id = collection.collection_id
    ) END, late, repeated, replaced, ignored, collected_key, institution, expectation
FROM (
    SELECT * FROM collection
    WHERE (:every_id OR collection.collection_id IN (SELECT value FROM json_each(:ids)))
        AND (:definition = '' OR name = :definition) AND (:state = '' OR state = :state)
        AND (:study_instance_uid = '' OR study_instance_uid = :study_instance_uid)
        AND (state <> 'closed' OR :state = 'closed')
    ORDER BY last_arrival_at DESC, collection.collection_id DESC LIMIT :limit
) AS collection
ORDER BY last_arrival_at DESC, collection.collection_id DESC;
