-- Images in the order of the keys given; rows as in `read_patients`.
SELECT json_group_array(json_array(patient.patient_key, study.study_key, series.series_key, instance.instance_id,
                                   json(patient.attributes), json(study.attributes), json(series.attributes),
                                   json(instance.attributes), instance.sop_instance_uid, instance.sop_class_uid)
                        ORDER BY wanted.key)
FROM json_each(:ids) AS wanted
CROSS JOIN instance ON instance.instance_id = wanted.value
CROSS JOIN series ON series.series_key = instance.series_key
CROSS JOIN study ON study.study_key = series.study_key
CROSS JOIN patient ON patient.patient_key = study.patient_key;
