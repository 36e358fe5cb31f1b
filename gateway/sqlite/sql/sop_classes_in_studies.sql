-- SOP classes in studies: rows of [study, SOP class].
SELECT json_group_array(json_array(study_key, sop_class_uid)) FROM (
    SELECT DISTINCT series.study_key, instance.sop_class_uid
    FROM json_each(:ids) AS wanted
    CROSS JOIN series ON series.study_key = wanted.value
    CROSS JOIN instance ON instance.series_key = series.series_key AND instance.is_current = 1
    ORDER BY 1, 2
);
