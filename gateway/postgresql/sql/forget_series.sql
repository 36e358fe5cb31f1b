-- Series that no instance belongs to any more.
DELETE FROM series USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE series_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.series_key = series.series_key)
RETURNING study_key;
