-- Add a patient, or give one that is there what is new of it. What the newest lacks stays. Patients are told apart by
-- patient ID, issuer, alphabetic name, birth date and, without a patient ID, study: senders that share a patient ID for two
-- people must not have one answered with the other's name.
INSERT INTO patient (attributes, identity)
SELECT attributes, sha256(convert_to(jsonb_build_array(
           coalesce(attributes ->> '00100020', ''), coalesce(attributes ->> '00100021', ''),
           coalesce(attributes #>> '{00100010=,0,0}', ''), coalesce(attributes ->> '00100030', ''),
           coalesce(attributes ->> '0020000D', ''))::text, 'UTF8'))
FROM (SELECT without_nul(%(attributes)s) AS attributes) AS arrived
ON CONFLICT (identity) DO UPDATE SET attributes = patient.attributes || excluded.attributes
RETURNING patient_key;
