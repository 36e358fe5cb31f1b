-- Studies that no series belongs to any more.
DELETE FROM study USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE study_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM series WHERE series.study_key = study.study_key)
RETURNING patient_key;
