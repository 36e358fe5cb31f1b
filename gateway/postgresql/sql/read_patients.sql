-- Patients in the order of the keys given: rows of [patient, study, series, instance, attributes of each …, SOP UIDs].
SELECT coalesce(json_agg(json_build_array(patient.patient_key, NULL, NULL, NULL, patient.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN patient ON patient.patient_key = wanted.value::bigint;
