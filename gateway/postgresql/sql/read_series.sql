-- Series in the order of the keys given; rows as in `read_patients`.
SELECT coalesce(json_agg(json_build_array(patient.patient_key, study.study_key, series.series_key, NULL,
                                          patient.attributes, study.attributes, series.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN series ON series.series_key = wanted.value::bigint
JOIN study ON study.study_key = series.study_key
JOIN patient ON patient.patient_key = study.patient_key;
