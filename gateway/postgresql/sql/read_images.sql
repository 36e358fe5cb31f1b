-- Images in the order of the keys given; rows as in `read_patients`.
SELECT coalesce(json_agg(json_build_array(
    patient.patient_key, study.study_key, series.series_key, instance.instance_id, patient.attributes, study.attributes,
    series.attributes, instance.attributes, instance.sop_instance_uid, instance.sop_class_uid
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN instance ON instance.instance_id = wanted.value::bigint
JOIN series ON series.series_key = instance.series_key
JOIN study ON study.study_key = series.study_key
JOIN patient ON patient.patient_key = study.patient_key;
