-- What patients have: rows of [patient, studies, series, instances].
SELECT coalesce(json_agg(json_build_array(wanted::bigint, counted.studies, counted.series, counted.instances)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
CROSS JOIN LATERAL (
    SELECT count(DISTINCT study_key) AS studies, count(*) AS series, coalesce(sum(instances), 0) AS instances
    FROM (
        SELECT study.study_key, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM study JOIN series ON series.study_key = study.study_key
        WHERE study.patient_key = wanted::bigint
    ) AS each_series
    WHERE instances > 0
) AS counted;
