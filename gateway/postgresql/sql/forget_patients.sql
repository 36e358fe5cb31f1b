-- Patients that no study belongs to any more.
DELETE FROM patient USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE patient_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM study WHERE study.patient_key = patient.patient_key)
RETURNING patient_key;
