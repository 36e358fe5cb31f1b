-- Objects of which no instance names anything any more.
SELECT object_name FROM segment_object
WHERE NOT EXISTS (
    SELECT 1 FROM sealed_group JOIN instance ON instance.payload_name = sealed_group.payload_name
    WHERE sealed_group.object_name = segment_object.object_name
)
ORDER BY object_name LIMIT %(limit)s;
