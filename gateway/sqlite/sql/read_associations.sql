-- Facts of associations by identifier.
SELECT json_group_array(json_array(association_id, facts))
FROM json_each(:ids) AS wanted
CROSS JOIN association ON association.association_id = wanted.value;
