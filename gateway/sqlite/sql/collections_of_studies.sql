-- All generations of these studies and series, whoever the patient is: rows as `read_collections` has them, without counting
-- instances.
SELECT json_group_array(json_array(
    collection_id, terms, study_instance_uid, series_instance_uid, patient, generation, state,
    opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, completed_at, result, outcome, flag,
    0, late, repeated, replaced, ignored, collected_key, institution, expectation
)) FROM (
    SELECT collection.* FROM json_each(:collected_keys) AS wanted
    CROSS JOIN collection ON collection.collected_key = wanted.value
    ORDER BY collection_id
);
