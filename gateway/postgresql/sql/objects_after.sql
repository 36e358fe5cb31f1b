-- The objects behind this name, in order: name, length, and whether an instance names something in each.
SELECT object_name, length_bytes, EXISTS (
    SELECT 1 FROM sealed_group JOIN instance ON instance.payload_name = sealed_group.payload_name
    WHERE sealed_group.object_name = page.object_name
)
FROM (
    SELECT object_name, length_bytes FROM segment_object
    WHERE object_name > %(after)s ORDER BY object_name LIMIT %(limit)s
) AS page
ORDER BY object_name;
