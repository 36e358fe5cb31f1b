-- Add a series, or give one that is there what is new of it.
INSERT INTO series (study_key, attributes) VALUES (:parent, :attributes)
ON CONFLICT (series_instance_uid, study_key)
DO UPDATE SET attributes = json_patch(series.attributes, excluded.attributes)
RETURNING series_key;
