-- Take instances into the index that were accepted without: rows of [instance, series, attributes].
UPDATE instance SET series_key = row.value ->> 1, attributes = row.value ->> 2
FROM json_each(:instances) AS row
WHERE instance.instance_id = row.value ->> 0 AND instance.series_key IS NULL;
