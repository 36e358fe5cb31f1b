-- What studies have: rows of [study, series, instances, modalities].
SELECT coalesce(json_agg(json_build_array(wanted::bigint, counted.series, counted.instances, counted.modalities)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
CROSS JOIN LATERAL (
    SELECT count(*) AS series, coalesce(sum(instances), 0) AS instances,
           coalesce(json_agg(DISTINCT modality) FILTER (WHERE modality <> ''), '[]') AS modalities
    FROM (
        SELECT modality, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM series WHERE series.study_key = wanted::bigint
    ) AS each_series
    WHERE instances > 0
) AS counted;
