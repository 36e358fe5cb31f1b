-- Associations of forgotten instances that no other instance came over.
SELECT json_group_array(wanted.value) FROM json_each(:ids) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.association_id = wanted.value);
