-- Add a study, or give one that is there what is new of it.
INSERT INTO study (patient_key, attributes) VALUES (:parent, :attributes)
ON CONFLICT (study_instance_uid, patient_key)
DO UPDATE SET attributes = json_patch(study.attributes, excluded.attributes)
RETURNING study_key;
