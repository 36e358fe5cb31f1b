-- Those among these objects that are known.
SELECT object_name FROM segment_object
JOIN jsonb_array_elements_text(%(names)s::jsonb) AS wanted ON wanted = object_name;
