-- All generations of these studies and series, whoever the patient is: rows as `read_collections` has them, without counting
-- instances. Nobody else changes them until this transaction ends.
SELECT coalesce(json_agg(json_build_array(
    collection_id, terms, study_instance_uid, series_instance_uid, patient, generation, state,
    opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, completed_at, result, outcome, flag,
    0, late, repeated, replaced, ignored, collected_key, institution, expectation
) ORDER BY collection_id), '[]') FROM (
    SELECT * FROM collection
    WHERE collected_key = ANY (SELECT wanted FROM jsonb_array_elements_text(%(collected_keys)s::jsonb) AS wanted)
    ORDER BY collection_id FOR UPDATE
) AS found;
