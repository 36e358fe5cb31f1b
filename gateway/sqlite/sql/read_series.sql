-- Series in the order of the keys given; rows as in `read_patients`.
SELECT json_group_array(json_array(patient.patient_key, study.study_key, series.series_key, NULL,
                                   json(patient.attributes), json(study.attributes), json(series.attributes))
                        ORDER BY wanted.key)
FROM json_each(:ids) AS wanted
CROSS JOIN series ON series.series_key = wanted.value
CROSS JOIN study ON study.study_key = series.study_key
CROSS JOIN patient ON patient.patient_key = study.patient_key;
