-- The instances themselves.
DELETE FROM instance WHERE instance_id IN (SELECT value FROM json_each(:ids));
