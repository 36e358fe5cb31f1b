-- Keep what was read of instances at arrival: rows of [instance, facts].
UPDATE instance SET kept_facts = row.value ->> 1
FROM json_each(:kept) AS row
WHERE instance.instance_id = row.value ->> 0;
