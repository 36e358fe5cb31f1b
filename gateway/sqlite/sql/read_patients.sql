-- Patients in the order of the keys given: rows of [patient, study, series, instance, attributes of each …, SOP UIDs].
SELECT json_group_array(json_array(patient.patient_key, NULL, NULL, NULL, json(patient.attributes)) ORDER BY wanted.key)
FROM json_each(:ids) AS wanted CROSS JOIN patient ON patient.patient_key = wanted.value;
