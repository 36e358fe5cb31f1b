-- Add a patient, or give one that is there what is new of it. What the newest lacks stays.
INSERT INTO patient (attributes) VALUES (:attributes)
ON CONFLICT (patient_id, issuer_of_patient_id, alphabetic_name, birth_date, of_study)
DO UPDATE SET attributes = json_patch(patient.attributes, excluded.attributes)
RETURNING patient_key;
