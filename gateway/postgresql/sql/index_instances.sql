-- Take instances into the index that were accepted without: rows of [instance, series, attributes].
UPDATE instance SET series_key = (row ->> 1)::bigint, attributes = without_nul(row ->> 2)
FROM jsonb_array_elements(%(instances)s::jsonb) AS row
WHERE instance.instance_id = (row ->> 0)::bigint AND instance.series_key IS NULL;
