-- Add a series, or give one that is there what is new of it.
INSERT INTO series (study_key, attributes, identity)
SELECT %(parent)s, attributes, sha256(convert_to(coalesce(attributes ->> '0020000E', ''), 'UTF8'))
FROM (SELECT without_nul(%(attributes)s) AS attributes) AS arrived
ON CONFLICT (study_key, identity) DO UPDATE SET attributes = series.attributes || excluded.attributes
RETURNING series_key;
