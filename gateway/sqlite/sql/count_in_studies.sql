-- What studies have: rows of [study, series, instances, modalities].
SELECT json_group_array(json_array(wanted.value, counted.value ->> 0, counted.value ->> 1, counted.value -> 2))
FROM json_each(:ids) AS wanted
CROSS JOIN json_each((
    SELECT json_array(json_array(count(*), total(instances),
                                 json_group_array(DISTINCT modality) FILTER (WHERE modality <> '')))
    FROM (
        SELECT modality, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM series WHERE series.study_key = wanted.value
    )
    WHERE instances > 0
)) AS counted;
