-- Facts of associations by identifier.
SELECT coalesce(json_agg(json_build_array(association_id, facts)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
JOIN association ON association.association_id = wanted::bigint;
