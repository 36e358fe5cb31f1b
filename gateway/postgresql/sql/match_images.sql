-- Images that fit, study by study, series by series, in order of arrival.
SELECT coalesce(json_agg(instance_id), '[]') FROM (
    SELECT instance.instance_id FROM instance JOIN series ON series.series_key = instance.series_key
    JOIN study ON study.study_key = series.study_key JOIN patient ON patient.patient_key = study.patient_key
    WHERE instance.is_current = 1 AND instance.series_key IS NOT NULL AND {filter} AND {below}
    ORDER BY study.study_key, series.series_key, instance.instance_id LIMIT %(limit)s
) AS found;
