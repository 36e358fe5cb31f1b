-- Those of these instances that are not forgotten.
SELECT instance_id FROM instance WHERE instance_id IN (SELECT value FROM json_each(:ids));
