-- Facts of associations that no instance names any more.
DELETE FROM association USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE association_id = gone::bigint;
