-- Patients that no study belongs to any more.
DELETE FROM patient WHERE patient_key IN (SELECT value FROM json_each(:ids))
    AND NOT EXISTS (SELECT 1 FROM study WHERE study.patient_key = patient.patient_key);
