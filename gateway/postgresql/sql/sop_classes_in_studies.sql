-- SOP classes in studies: rows of [study, SOP class].
SELECT coalesce(json_agg(json_build_array(study_key, sop_class_uid) ORDER BY study_key, sop_class_uid), '[]') FROM (
    SELECT DISTINCT series.study_key, instance.sop_class_uid
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN series ON series.study_key = wanted::bigint
    JOIN instance ON instance.series_key = series.series_key AND instance.is_current = 1
) AS found;
