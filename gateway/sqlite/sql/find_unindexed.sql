-- Which of these instances are not in the index.
SELECT json_group_array(instance_id) FROM json_each(:ids) AS wanted
CROSS JOIN instance ON instance.instance_id = wanted.value AND instance.series_key IS NULL;
