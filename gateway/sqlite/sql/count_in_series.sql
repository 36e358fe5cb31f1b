-- What series have: rows of [series, instances].
SELECT json_group_array(json_array(wanted.value, (
    SELECT count(*) FROM instance WHERE instance.series_key = wanted.value AND is_current = 1
)))
FROM json_each(:ids) AS wanted;
