-- Studies in the order of the keys given; rows as in `read_patients`.
SELECT json_group_array(json_array(patient.patient_key, study.study_key, NULL, NULL, json(patient.attributes),
                                   json(study.attributes)) ORDER BY wanted.key)
FROM json_each(:ids) AS wanted
CROSS JOIN study ON study.study_key = wanted.value
CROSS JOIN patient ON patient.patient_key = study.patient_key;
