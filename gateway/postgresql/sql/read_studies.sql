-- Studies in the order of the keys given; rows as in `read_patients`.
SELECT coalesce(json_agg(json_build_array(patient.patient_key, study.study_key, NULL, NULL,
                                          patient.attributes, study.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN study ON study.study_key = wanted.value::bigint
JOIN patient ON patient.patient_key = study.patient_key;
