-- Studies that fit, in order of arrival.
SELECT coalesce(json_agg(study_key), '[]') FROM (
    SELECT study.study_key FROM study JOIN patient ON patient.patient_key = study.patient_key
    WHERE {filter} AND {below}
    ORDER BY study.study_key LIMIT %(limit)s
) AS found;
