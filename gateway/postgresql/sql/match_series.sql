-- Series that fit, in order of arrival.
SELECT coalesce(json_agg(series_key), '[]') FROM (
    SELECT series.series_key FROM series JOIN study ON study.study_key = series.study_key
    JOIN patient ON patient.patient_key = study.patient_key
    WHERE {filter} AND {below}
    ORDER BY series.series_key LIMIT %(limit)s
) AS found;
