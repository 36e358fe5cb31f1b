-- These instances are kept no longer, or are forgotten.
DELETE FROM kept_copy WHERE instance_id IN (SELECT value FROM json_each(:ids));
