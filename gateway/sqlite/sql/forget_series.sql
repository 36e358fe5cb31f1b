-- Series that no instance belongs to any more.
DELETE FROM series WHERE series_key IN (SELECT value FROM json_each(:ids))
    AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.series_key = series.series_key)
RETURNING study_key;
