-- Those among these objects that are known: name, length, and whether an instance names something in each.
SELECT object_name, length_bytes, EXISTS (
    SELECT 1 FROM sealed_group JOIN instance ON instance.payload_name = sealed_group.payload_name
    WHERE sealed_group.object_name = segment_object.object_name
)
FROM segment_object JOIN jsonb_array_elements_text(%(names)s::jsonb) AS wanted ON wanted = object_name;
