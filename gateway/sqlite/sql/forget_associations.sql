-- Their facts.
DELETE FROM association WHERE association_id IN (SELECT value FROM json_each(:ids));
