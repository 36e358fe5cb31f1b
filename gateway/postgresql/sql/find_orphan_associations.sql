-- Associations of forgotten instances that no other instance came over.
SELECT coalesce(json_agg(wanted::bigint), '[]') FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.association_id = wanted::bigint);
