-- Studies that no series belongs to any more.
DELETE FROM study WHERE study_key IN (SELECT value FROM json_each(:ids))
    AND NOT EXISTS (SELECT 1 FROM series WHERE series.study_key = study.study_key)
RETURNING patient_key;
