-- Collections that fit, oldest first.
SELECT collection.collection_id, terms, study_instance_uid, series_instance_uid, patient, generation, state,
    opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, completed_at, result, outcome, flag,
    CASE state WHEN 'closed' THEN instances ELSE (
        SELECT count(*) FROM collection_instance WHERE collection_instance.collection_id = collection.collection_id
    ) END, late, repeated, replaced, ignored, collected_key, institution, expectation
FROM collection
WHERE (%(every_id)s OR collection.collection_id IN (SELECT wanted::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted))
    AND (%(definition)s = '' OR name = %(definition)s) AND (%(state)s = '' OR state = %(state)s)
    AND (%(study_instance_uid)s = '' OR study_instance_uid = %(study_instance_uid)s)
ORDER BY collection.collection_id LIMIT %(limit)s;
