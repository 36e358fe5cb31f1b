-- What patients have: rows of [patient, studies, series, instances].
SELECT json_group_array(json_array(wanted.value, counted.value ->> 0, counted.value ->> 1, counted.value ->> 2))
FROM json_each(:ids) AS wanted
CROSS JOIN json_each((
    SELECT json_array(json_array(count(DISTINCT study_key), count(*), total(instances)))
    FROM (
        SELECT study.study_key, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM study JOIN series ON series.study_key = study.study_key
        WHERE study.patient_key = wanted.value
    )
    WHERE instances > 0
)) AS counted;
