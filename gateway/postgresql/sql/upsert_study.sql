-- Add a study, or give one that is there what is new of it.
INSERT INTO study (patient_key, attributes, identity)
SELECT %(parent)s, attributes, sha256(convert_to(coalesce(attributes ->> '0020000D', ''), 'UTF8'))
FROM (SELECT without_nul(%(attributes)s) AS attributes) AS arrived
ON CONFLICT (patient_key, identity) DO UPDATE SET attributes = study.attributes || excluded.attributes
RETURNING study_key;
