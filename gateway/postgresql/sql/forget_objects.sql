-- Nothing leads to these objects any more.
WITH gone AS (
    SELECT value AS object_name FROM jsonb_array_elements_text(%(names)s::jsonb)
), groups AS (
    DELETE FROM sealed_group USING gone WHERE sealed_group.object_name = gone.object_name
)
DELETE FROM segment_object USING gone WHERE segment_object.object_name = gone.object_name;
