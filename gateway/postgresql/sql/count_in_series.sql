-- What series have: rows of [series, instances].
SELECT coalesce(json_agg(json_build_array(wanted::bigint, (
    SELECT count(*) FROM instance WHERE instance.series_key = wanted::bigint AND is_current = 1
))), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted;
