-- One collection, for a change of it.
SELECT collection.collection_id, terms, study_instance_uid, series_instance_uid, patient, generation, state,
    opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, completed_at, result, outcome, flag,
    CASE state WHEN 'closed' THEN instances ELSE (
        SELECT count(*) FROM collection_instance WHERE collection_instance.collection_id = collection.collection_id
    ) END, late, repeated, replaced, ignored, collected_key, institution, expectation
FROM collection
WHERE collection.collection_id = :collection_id;
